"""The page on a training: what it says, and how it looks in a real browser."""

import io
import re
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image

from tests.report.test_page import CHROMIUM, FLAGS
from unetrt.metrics import Case, Metrics, mean_interval
from unetrt.report import Picture, render_training

CLASSES = ("background", "grey", "white & <b>")


@dataclass(frozen=True)
class Line:
    elapsed_s: float
    loss: float
    val_dice: float


def case(number, *, images=1, object_f1=None):
    dice = dict.fromkeys(CLASSES[1:], 0.5 + number / 100)
    hd95 = {CLASSES[1]: 2.25, CLASSES[2]: None}
    return Case(
        name=f"volume{number}.nii", images=images, dice=dice, hd95=hd95, object_f1=object_f1
    )


def metrics(cases):
    each = [one.mean_dice for one in cases]
    named = dict.fromkeys(CLASSES[1:], 0.8)
    return Metrics(
        images=len(cases), dice=named, iou=named, precision=named, recall=named,
        per_image_foreground=0.8, hd95={CLASSES[1]: 2.25, CLASSES[2]: None},
        object_f1=cases[0].object_f1, per_image={}, cases=tuple(cases),
        mean_dice=mean_interval(each), class_dice=dict.fromkeys(CLASSES[1:], mean_interval(each)),
    )  # fmt: skip


def page(count=8, *, curves=("",), parts=("val",), **fields):
    pytest.importorskip("matplotlib")
    pytest.importorskip("jinja2")
    cases = [case(number, **fields) for number in range(count)]
    png = io.BytesIO()
    Image.fromarray(np.zeros((60, 900, 3), np.uint8)).save(png, format="PNG")
    return render_training(
        data="brains",
        classes=CLASSES,
        found=[("images", "3 train, 1 val, 8 test"), ("mean and deviation of pixels", "9, 3")],
        choices=[("crop", "128 x 128", "objects are about 40 pixels across")],
        curves={title: [Line(1.0, 1.0, 0.5), Line(2.0, 0.5, 0.8)] for title in curves},
        metrics=dict.fromkeys((*parts, "test"), metrics(cases)),
        judged="test",
        pictures=[
            Picture(case=one, image=f"{one.name}_007", png=png.getvalue()) for one in cases[:5]
        ],
    )


def words(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html.partition("</style>")[2]))


def test_it_says_how_good_and_how_sure_and_why_it_was_trained_so():
    said = words(page())
    assert re.search(
        r"Mean Dice of a file, test: 0\.535 , 95 % interval 0\.5\d\d to 0\.5\d\d, "
        r"by bootstrap over 8 files", said)  # fmt: skip
    assert "objects are about 40 pixels across" in said
    assert "white &amp; &lt;b&gt;" in said
    assert "objects F1" not in said


def test_the_worst_files_come_first_and_many_are_cut_short():
    said = words(page(600))
    table = said.partition("Every file")[2]
    assert table.index("volume0.nii") < table.index("volume1.nii") < table.index("volume499.nii")
    assert "volume500.nii" not in table
    assert "100 better ones are in metrics.json alone" in said


def test_slices_and_objects_have_columns_where_there_are_any():
    said = words(page(images=30, object_f1=0.75))
    assert "objects F1" in said
    assert "volume0.nii, volume0.nii_007: grey 0.500" in said
    assert "0.750" in said


def test_an_ensemble_s_page_has_a_curve_of_each_fold_and_the_figure_of_all_together():
    html = page(curves=("Fold 1", "Fold 2"), parts=("fold1", "fold2", "cross_validation"))
    assert html.count("<svg") == 2
    assert re.search(r"Of the 8 files that the folds held out .*: 0\.535 , 0\.5", words(html))
    assert "all folds together" in words(html)


def test_a_single_file_tells_nothing_of_the_spread():
    assert "of a single file, which tells nothing of the spread" in words(page(1))


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_renders_without_overflow_or_complaint(browser, tmp_path, width, scheme):
    path = tmp_path / "report.html"
    path.write_text(page(curves=("Fold 1", "Fold 2"), object_f1=0.5), encoding="utf-8")
    tab = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    complaints = []
    tab.on("console", lambda message: complaints.append(message.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.goto(path.as_uri())
    assert tab.locator("h2").count() == 5
    loaded = tab.evaluate("[...document.images].map(i => i.complete && i.naturalWidth > 100)")
    assert loaded == [True] * 5
    drawn = tab.evaluate(
        "[...document.querySelectorAll('svg[role=img]')].map(s => s.getBoundingClientRect().width)"
    )
    assert len(drawn) == 2
    assert min(drawn) > 300
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    ids = tab.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(set(ids)) == len(ids)
    ink, paper = tab.evaluate(
        "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
    )
    bright = [sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in (ink, paper)]
    assert (bright[0] > bright[1]) == (scheme == "dark")
    assert not complaints
    tab.close()
