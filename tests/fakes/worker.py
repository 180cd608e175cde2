"""A child that replies, or misbehaves as its first argument says; no library, no network."""

import json
import os
import subprocess
import sys
import time

how, replies = sys.argv[1], int(sys.argv[sys.argv.index("--replies") + 1])


def say(text):
    os.write(replies, (text + "\n").encode())


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
    request = json.loads(line)
    if how == "replies":
        say(json.dumps({request["do"]: {"host": [7] * request["count"]}}))
    elif how == "replies slowly":
        for part in ('{"time": ', '{"host"', ": [1]}}\n"):
            os.write(replies, part.encode())
            time.sleep(0.2)
    elif how == "dies":
        sys.stdout.write("Segmentation fault, said the library\n")
        sys.stdout.flush()
        os._exit(3)
    elif how == "is killed":
        os.kill(os.getpid(), 9)
    elif how == "leaves a child behind":  # which holds its pipe open
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(5)"], pass_fds=[replies])
        os._exit(4)
    elif how == "hangs":
        time.sleep(3600)
    elif how == "talks nonsense":
        say("Epoch 1/20 [=====>")
    elif how == "replies to another request":
        say(json.dumps({"predict": "prediction.npy"}))
    elif how == "fails":
        say(json.dumps({"failed": "RuntimeError: out of memory"}))
