"""A child that answers, or misbehaves as its first argument says; no library, no network."""

import json
import os
import subprocess
import sys
import time

how, answers = sys.argv[1], int(sys.argv[sys.argv.index("--answers") + 1])


def say(text):
    os.write(answers, (text + "\n").encode())


sys.stdout.write("a library announces itself\n")
if how == "fails to open":
    say(json.dumps({"failed": "ValueError: no such layer"}))
    raise ValueError("no such layer")
if how == "never opens":
    time.sleep(3600)
if how == "has a child":
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
    say(json.dumps({"opened": {"child": child.pid}}))
else:
    say(json.dumps({"opened": {"pid": os.getpid()}}))

for line in sys.stdin:
    question = json.loads(line)
    if how == "answers":
        say(json.dumps({question["do"]: {"host": [7] * question["count"]}}))
    elif how == "answers slowly":
        for part in ('{"turn": ', '{"host"', ": [1]}}\n"):
            os.write(answers, part.encode())
            time.sleep(0.2)
    elif how == "dies":
        sys.stdout.write("Segmentation fault, said the library\n")
        sys.stdout.flush()
        os._exit(3)
    elif how == "is killed":
        os.kill(os.getpid(), 9)
    elif how == "leaves a child behind":  # which holds its pipe open
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(5)"], pass_fds=[answers])
        os._exit(4)
    elif how == "hangs":
        time.sleep(3600)
    elif how == "talks nonsense":
        say("Epoch 1/20 [=====>")
    elif how == "answers another question":
        say(json.dumps({"answer": "answer.npy"}))
    elif how == "fails":
        say(json.dumps({"failed": "RuntimeError: out of memory"}))
