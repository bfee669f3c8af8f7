"""What notebooks try: to be called correct, to see and change what is not theirs."""

SAY = """import json, os
def say(what):
    for way in range(3, 30):
        try:
            os.write(way, json.dumps(what).encode() + b"\\n")
        except OSError:
            pass
"""
LISTED = SAY + "def largest(x): return say({'status': ['correct'], 'message': 7})"
FORGED = (
    SAY
    + """import io, sys
import prunekit.classroom.checks as c
class Good:
    name, status, message = "", "correct", ""
c.verdict = lambda *a, **k: Good()
c.called = c.Answer.expect = lambda *a, **k: None
c.EXERCISES.clear()
check = lambda f: print("✓ correct")
sys.stdout = io.StringIO()
def mean_square(x): return say({"status": "correct", "message": ""})
def scaled(x, a): return 2
def largest(x): return say({"status": 7})"""
)

FLOOD = "def scaled(x, a):\n    while True: print('x' * 10**5)"
DEAF = """import time
while True:
    try:
        time.sleep(60)
    except BaseException:
        pass"""

# makes of its folder what is hard to remove, and links to what is not its own
KNOTTED = """import os
def deep(n):
    here = os.getcwd()
    for _ in range(n):
        os.mkdir("d")
        os.chdir("d")
    os.chdir(here)
deep(3000)
os.mkdir("shut")
os.symlink(TEACHERS_FILE, "shut/link")
os.symlink(TEACHERS_FILE, "link")
os.chmod("shut", 0)"""

LOUD = "def scaled(x, a):\n    raise ValueError('loud ' * 30_000_000)"
NESTED = """def scaled(x, a):
    for _ in range(100_000):
        x = [x]
    return x"""
LONG = "def mean_square(x):\n    return torch.ones(10**6)"

SHARED = """import mmap
room = mmap.mmap(-1, 3 * 10**9)
while True:
    room.write(bytes(10**7))"""
NAMELESS = """import os
held = [os.memfd_create("a") for _ in range(40)]
for one in held:
    os.write(one, bytes(10**8))"""
CHILDREN = """import os, time
for _ in range(8):
    if os.fork() == 0:
        held = bytearray(b"x") * (2 * 10**8)
        time.sleep(60)
time.sleep(60)"""
FAKED = """with open("resource.py", "w") as file:
    file.write("RLIM_INFINITY = RLIMIT_DATA = RLIMIT_FSIZE = RLIMIT_CORE = -1\\n"
               "getrlimit = lambda kind: (-1, -1)\\nsetrlimit = lambda kind, values: None\\n")
os._exit(1)"""
LIMITED = """def scaled(x, a):
    try:
        bytearray(2 * 10**9)
    except MemoryError:
        return a * x"""

# what it could read, write and do; bound read-only folders are remounted, were that allowed
NOSY = """import ctypes, os, socket
def largest(x):
    libc, seen = ctypes.CDLL(None), []
    for place in ("/", "/usr", PACKAGE):
        if libc.mount(b"none", place.encode(), None, 32 | 4096, None) == 0:
            seen.append("remounted " + place)
    if libc.unshare(0x10000000) == 0:
        seen.append("a user namespace")
    for path in PATHS:
        try:
            os.listdir(path) if os.path.isdir(path) else open(path).close()
            seen.append(path)
        except OSError:
            pass
    places = ["/", "/usr", "/dev", os.path.dirname(torch.__file__), PACKAGE]
    for folder in [*places, os.environ["HOME"]]:
        try:
            with open(os.path.join(folder, "left-behind"), "w"):
                seen.append("wrote " + folder)
        except OSError:
            pass
    seen.remove("wrote " + os.environ["HOME"])
    for folder in ("/tmp", "/dev/shm"):
        space = os.statvfs(folder)
        if space.f_blocks * space.f_frsize > 2**28:
            seen.append("much room in " + folder)
    with open("/proc/self/status") as file:
        seen += [line for line in file if line.startswith("CapEff") and int(line[7:], 16)]
    numbers = [name for name in os.listdir("/proc") if name.isdigit()]
    outside = [name for _, name in socket.if_nameindex() if name != "lo"]
    raise ValueError([seen, outside, len(numbers) < 5, os.environ.get("SECRET")])"""
