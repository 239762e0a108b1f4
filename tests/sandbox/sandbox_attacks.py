"""The catalogue of attacks: what a hostile tool tries, as source text.

Each defines `f()`, which returns `BREACH` (perhaps with a finding) when it got through, and
anything else, or raises, when it did not. `PRELUDE` stands before each. `DATA` names the victims.
"""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import dedent, indent
from typing import Any

PRELUDE = '''
import ctypes, os, sys
BREACH = "breach"
_libc = ctypes.CDLL(None, use_errno=True)
_X86 = os.uname().machine == "x86_64" if DATA["unsafe"] else DATA["machine"] == "x86_64"

def syscall(x86, arm, *arguments):
    """A raw system call; BREACH when the kernel did it."""
    boxed = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result = _libc.syscall(x86 if _X86 else arm, *boxed)
    return BREACH if result >= 0 else ctypes.get_errno()

def forge(text, header=None):
    """Write a reply to the owner, in place of the runner."""
    payload = text.encode(errors="surrogatepass")
    size = len(payload) if header is None else header
    os.write(3, size.to_bytes(4, "big") + payload)
'''


@dataclass(frozen=True)
class Attack:
    """One attempt. `harmless`: it can run unconfined, and must succeed there."""

    name: str
    source: str
    harmless: bool = False
    calls: int = 1
    """How often `f` is called; the last outcome counts."""
    errors: tuple[str, ...] = ()
    """When given, the call must end in one of these typed errors."""
    clock: float | None = None
    together: bool = False
    """The calls are sent with `call_many`."""
    meant_when_stateful: bool = False
    """A stateful episode is there to allow it."""
    needs_end_of_module: bool = False
    """Does nothing in a stateful episode, where modules live on."""


ATTACKS: list[Attack] = []


def _add(name: str, body: str, *, errors: str = "", **options: Any) -> None:
    body = dedent(body).strip("\n")
    source = body if "def f(" in body else "def f():\n" + indent(body, "    ")
    ATTACKS.append(Attack(name, PRELUDE + source, errors=tuple(errors.split()), **options))


# --- files -----------------------------------------------------------------------------------

for _name, _body in {
    "read_file": "return BREACH if 'CANARY' in open(DATA['file']).read() else 0",
    "read_file_by_descriptor": "return BREACH if os.read(os.open(DATA['file'], 0), 9) else 0",
    "read_passwd": "return BREACH if open('/etc/passwd').read() else 0",
    "read_own_code": "return BREACH if open(os.__file__).read() else 0",
    "write_file": "open(DATA['folder'] + '/new', 'w').write('x'); return BREACH",
    "append_to_file": "open(DATA['file'], 'a').write('x'); return BREACH",
    "list_root": "return BREACH if os.listdir('/') else 0",
    "list_home": "return BREACH if os.listdir(DATA['folder']) else 0",
    "stat_file": "return BREACH if os.stat(DATA['file']).st_size else 0",
    "access_file": "return BREACH if os.access(DATA['file'], os.R_OK) else 0",
    "read_link": "return BREACH if os.readlink('/proc/self/exe') else 0",
    "make_symlink": "os.symlink('/etc/passwd', DATA['folder'] + '/link'); return BREACH",
    "make_hard_link": "os.link(DATA['file'], DATA['folder'] + '/link'); return BREACH",
    "follow_symlink": "return BREACH if open(DATA['link']).read() else 0",
    "make_folder": "os.mkdir(DATA['folder'] + '/x'); return BREACH",
    "make_fifo": "os.mkfifo(DATA['folder'] + '/x'); return BREACH",
    "remove_file": "os.unlink(DATA['file']); return BREACH",
    "rename_file": "os.rename(DATA['file'], DATA['folder'] + '/x'); return BREACH",
    "truncate_file": "os.truncate(DATA['file'], 0); return BREACH",
    "change_mode": "os.chmod(DATA['file'], 0o777); return BREACH",
    "change_folder": "os.chdir('/'); return BREACH",
    "where_am_i": "os.getcwd(); return BREACH",
    "raw_openat": "return syscall(257, 56, -100, DATA['file'].encode(), 0, 0)",
    "raw_openat2": "return syscall(437, 437, -100, DATA['file'].encode(), bytes(24), 24)",
}.items():
    _add(_name, _body, harmless=True)
_add("raw_execveat", "return syscall(322, 281, -100, b'/nowhere', None, None, 0)")
_add("open_by_handle", "return syscall(304, 265, -100, bytes(64), 0)")
for _name, _body in {
    "import_from_disk": """
    import importlib.util
    spec = importlib.util.spec_from_file_location("canary", DATA["module"])
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return BREACH
""",
    "import_by_path": "sys.path.insert(0, DATA['folder']); import planted; return BREACH",
    "import_by_finder": """
    from importlib.machinery import PathFinder
    return BREACH if PathFinder.find_spec("planted", [DATA["folder"]]) else 0
""",
    "load_library": "ctypes.CDLL(DATA['library']); return BREACH",
}.items():
    _add(_name, _body, harmless=True)
_add(
    "inherited_descriptors",
    """
    # Raw calls: what Python's own make of it is refused, whether a descriptor is there or not.
    import select
    room, found = ctypes.create_string_buffer(256), []
    for number in range(4096):
        poll = select.poll()
        poll.register(number, 0)
        there = [event & select.POLLNVAL == 0 for _, event in poll.poll(0)] != [False]
        if syscall(5, 80, number, room) == BREACH or there:
            found.append(number)
    return found if found == [0, 1, 2, 3] else BREACH + repr(found)
""",
)
_add(
    "messages_to_other_sockets",
    """
    for number in range(4, 4096):
        if _libc.send(number, b"Ehello", 6, 0) > 0 or _libc.recv(number, bytes(64), 64, 0x40) > 0:
            return BREACH
""",
)
_add(
    "descriptors_into_files",
    "return BREACH if os.read(0, 1) or os.read(1, 1) or os.read(2, 1) else 0",
)

# --- /proc, environment, memory of others ------------------------------------------------------

for _name, _body in {
    "proc_environ": "return BREACH if open('/proc/self/environ').read() is not None else 0",
    "proc_maps": "return BREACH if open('/proc/self/maps').read() else 0",
    "proc_of_parent": "return BREACH if os.listdir(f\"/proc/{DATA['parent']}\") else 0",
    "proc_memory_of_parent": "open(f\"/proc/{DATA['parent']}/mem\", 'rb'); return BREACH",
    "proc_list": "return BREACH if [n for n in os.listdir('/proc') if n.isdigit()] else 0",
    "sys_files": "return BREACH if os.listdir('/sys') else 0",
    "dev_files": "return BREACH if os.read(os.open('/dev/zero', 0), 1) else 0",
}.items():
    _add(_name, _body, harmless=True)
_add("environment", "return BREACH if 'CAN' + 'ARY' in repr(os.environ) else sorted(os.environ)")
_add(
    "environment_of_libc",
    """
    _libc.getenv.restype = ctypes.c_char_p
    return BREACH if _libc.getenv(b"ASTRA_TEST_CAN" + b"ARY") else 0
""",
)
_add(
    "hunt_objects",
    """
    import gc, re
    pattern = re.compile("CAN" + "ARY-[0-9a-f]{32}")
    for thing in gc.get_objects():
        for inner in (thing.values() if type(thing) is dict else [thing]):
            if isinstance(inner, str) and (hit := pattern.search(inner)):
                return BREACH + hit.group()
    return 0
""",
)
_add(
    "hunt_frames",
    """
    frame, seen = sys._getframe(), ""
    while frame:
        for space in (frame.f_locals, frame.f_globals):
            seen += "".join(repr(v)[:10000] for v in list(space.values()))
        frame = frame.f_back
    return BREACH if "CAN" + "ARY-" in seen else len(seen)
""",
)
_add(
    "hunt_heap",
    """
    import gc, re
    pattern = re.compile(b"CAN" + b"ARY-[0-9a-f]{32}")
    _libc.sbrk.restype = ctypes.c_void_p
    end = _libc.sbrk(ctypes.c_long(0))
    places = {id(o) >> 18 << 18 for o in gc.get_objects()}
    read = 0
    for place, size in [(end - (1 << 20), 1 << 20), *((p, 1 << 18) for p in sorted(places)[2:-2])]:
        hit = pattern.search(ctypes.string_at(place, size))
        read += size
        if hit:
            return BREACH + hit.group().decode()
    return read
""",
)
_add(
    "hunt_stack",
    """
    import re
    pointer = ctypes.c_void_p.in_dll(_libc, "environ").value
    return BREACH if b"CAN" + b"ARY" in ctypes.string_at(pointer & ~0xFFF, 4096) else 0
""",
)
_add(
    "read_memory_of_parent",
    """
    buffer = ctypes.create_string_buffer(8)
    class Vector(ctypes.Structure):
        _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]
    ours = Vector(ctypes.addressof(buffer), 8)
    theirs = Vector(DATA["address"], 8)
    return syscall(310, 270, DATA["parent"], ctypes.byref(ours), 1, ctypes.byref(theirs), 1, 0)
""",
)

# --- network -----------------------------------------------------------------------------------

for _name, _body in {
    "tcp_connect": """
    import socket
    with socket.create_connection(("127.0.0.1", DATA["port"]), 1):
        return BREACH
""",
    "udp_send": """
    import socket
    with socket.socket(type=socket.SOCK_DGRAM) as s:
        return BREACH if s.sendto(b"x", ("127.0.0.1", DATA["port"])) else 0
""",
    "listen": """
    import socket
    with socket.create_server(("127.0.0.1", 0)):
        return BREACH
""",
    "unix_socket": """
    import socket
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(b"\\0astra-test-%d" % os.getpid())
        return BREACH
""",
    "socket_pair": "import socket; a, b = socket.socketpair(); a.close(); b.close(); return BREACH",
    "netlink": (
        "import socket; socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close(); return BREACH"
    ),
}.items():
    _add(_name, _body, harmless=True)
_add("vsock", "import socket; socket.socket(40).close(); return BREACH")
_add(
    "resolve_name",
    "import socket; return BREACH if socket.gethostbyname('localhost') else 0",
    harmless=True,
)
_add("raw_socket_call", "return syscall(41, 198, 2, 1, 0)", harmless=True)
_add(
    "fetch_url",
    """
    import urllib.request
    return BREACH if urllib.request.urlopen(f"http://127.0.0.1:{DATA['port']}").read() else 0
""",
)

# --- processes and threads -----------------------------------------------------------------------

_add(
    "fork",
    """
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    return BREACH
""",
    harmless=True,
)
_add(
    "fork_bomb",
    """
    for _ in range(1000):
        try:
            if os.fork() == 0:
                return BREACH
        except OSError as error:
            return error.errno
    return BREACH
""",
)
_add("raw_clone", "return syscall(56, 220, 17, 0, 0, 0, 0)")
_add("raw_clone3", "return syscall(435, 435, bytes(88), 88)")
_add(
    "thread",
    """
    import threading
    seen = []
    thread = threading.Thread(target=seen.append, args=(1,))
    thread.start()
    thread.join()
    return BREACH if seen else 0
""",
    harmless=True,
)
_add("exec_shell", "os.execv('/bin/sh', ['sh', '-c', 'true'])", errors="")
for _name, _body in {
    "spawn": "return BREACH if os.posix_spawn('/bin/true', ['true'], {}) else 0",
    "subprocess": "import subprocess; subprocess.run(['true'], check=True); return BREACH",
    "shell": "return BREACH if os.system('true') == 0 else 0",
    "pipe": "return BREACH if os.pipe() else 0",
    "code_in_memory_file": "return BREACH if os.memfd_create('x') else 0",
    "signal_zero_to_victim": "os.kill(DATA['victim'], 0); return BREACH",
}.items():
    _add(_name, _body, harmless=True)
_add("kill_victim", "os.kill(DATA['victim'], 9); return BREACH")
_add("kill_caller", "os.kill(DATA['parent'], 15); return BREACH")
_add("kill_everyone", "os.kill(-1, 0); return BREACH")
_add("kill_parent", "os.kill(os.getppid(), 9); return BREACH")
_add("kill_group", "os.killpg(0, 15); return BREACH")
_add("stop_self", "return syscall(200, 130, os.getpid(), 19)")
_add("raw_tgkill", "return syscall(234, 131, DATA['victim'], DATA['victim'], 9)")
_add("raw_pidfd_open", "return syscall(434, 434, DATA['victim'], 0)", harmless=True)
_add("queue_signal", "return syscall(129, 138, DATA['victim'], 0, bytes(128))")
_add("ptrace_me", "return syscall(101, 117, 0, 0, 0, 0)")
_add("ptrace_victim", "return syscall(101, 117, 16, DATA['victim'], 0, 0)")
for _name, _body in {
    "interval_timer": "import signal; signal.setitimer(signal.ITIMER_REAL, 99); return BREACH",
    "alarm": "import signal; return BREACH if signal.alarm(99) == 0 else 0",
    "nice": "os.nice(1); return BREACH",
    "choose_cpu": "os.sched_setaffinity(0, {0}); return BREACH",
    "limits_of_victim": (
        "import resource; resource.prlimit(DATA['victim'], resource.RLIMIT_CPU); return BREACH"
    ),
}.items():
    _add(_name, _body, harmless=True)
_add(
    "raise_own_limits",
    """
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    return BREACH
""",
)
_add("parent_id", "return BREACH if os.getppid() > 0 else 0", harmless=True)

_CLOCK_OF = "clock = ((~DATA['{}']) << 3) | 2; moment = (ctypes.c_long * 2)()\n"
for _whose in ("victim", "parent"):
    for _name, _call in {
        "clock": "syscall(228, 113, clock, moment)",
        "clock_resolution": "syscall(229, 114, clock, moment)",
        "sleep_by_clock": "syscall(230, 115, clock, 1, moment, None)",
    }.items():
        _add(f"{_name}_of_{_whose}", _CLOCK_OF.format(_whose) + f"return {_call}", harmless=True)
_add(
    "clocks_of_everyone",
    """
    moment = (ctypes.c_long * 2)()
    for pid in range(1, 5000):
        if syscall(228, 113, (~pid << 3) | 2, moment) == BREACH:
            return BREACH
""",
    harmless=True,
)
_add(
    "end_by_own_limit",
    """
    import resource
    resource.setrlimit(resource.RLIMIT_CPU, (1, 1))
    return BREACH
""",
    harmless=True,
)
_add(
    "lower_descriptor_limit",
    "import resource; resource.setrlimit(7, (0, 0)); return BREACH",
    harmless=True,
)

# --- the kernel's rarer doors --------------------------------------------------------------------

_add("become_root", "os.setuid(0); return BREACH")
_add("regain_groups", "os.setgroups([0]); return BREACH")
_add("set_capabilities", "return syscall(126, 91, bytes(8), bytes(24))")
_add("unshare_user", "return syscall(272, 97, 0x10000000)")
_add("join_namespace", "return syscall(308, 268, 3, 0)")
_add("mount", "return syscall(165, 40, b'none', b'/', b'tmpfs', 0, None)")
_add("unmount", "return syscall(166, 39, b'/', 2)")
_add("chroot", "os.chroot('/'); return BREACH")
_add("pivot_root", "return syscall(155, 41, b'.', b'.')")
_add("host_name", "return BREACH if os.uname().nodename else 0", harmless=True)
_add("set_host_name", "import socket; socket.sethostname('x'); return BREACH")
_add("io_uring", "return syscall(425, 425, 4, bytes(120))")
_add("userfaultfd", "return syscall(323, 282, 1)")
_add("bpf", "return syscall(321, 280, 0, bytes(128), 128)")
_add("perf_events", "return syscall(298, 241, bytes(128), 0, -1, -1, 0)")
_add("key_ring", "return syscall(250, 219, 0, -3, 0)")
_add("add_key", "return syscall(248, 217, b'user', b'x', b'y', 1, -3)")
_add("shared_memory", "return syscall(29, 194, 0, 4096, 0o1600)", harmless=True)
_add("message_queue", "return syscall(68, 186, 0, 0o1600)", harmless=True)
_add("posix_queue", "return syscall(240, 180, b'astra-test', 0o102, 0o600, None)")
_add("event_descriptor", "return BREACH if os.eventfd(0) else 0", harmless=True)
_add("inotify", "return syscall(294, 26, 0)", harmless=True)
_add("modules", "return syscall(313, 273, 0, b'', 0)")
_add("personality", "return syscall(135, 92, 0x0040000)")
_add("loosen_filter", "return syscall(157, 167, 22, 0, 0, 0, 0)")
_add("outlive_parent", "return syscall(157, 167, 1, 0, 0, 0, 0)", harmless=True)
_add("be_dumpable", "return syscall(157, 167, 4, 1, 0, 0, 0)", harmless=True)
_add("other_architecture", "return syscall(0x40000000 | 39, 172 | 1 << 30)")
_add("new_landlock", "return syscall(444, 444, None, 0, 1)")
_add(
    "machine_code",
    """
    import mmap
    m = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    return BREACH
""",
    harmless=True,
)
_add(
    "machine_code_later",
    """
    import mmap
    m = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(m))
    return syscall(10, 226, address, 4096, 7)
""",
    harmless=True,
)
_add(
    "set_clock", "import time; time.clock_settime(time.CLOCK_REALTIME, time.time()); return BREACH"
)
_add("system_information", "return syscall(99, 179, bytes(128))", harmless=True)

# --- resources -----------------------------------------------------------------------------------

_add("memory_at_once", "return len(bytearray(1 << 40)) and BREACH", errors="SandboxLimit")
_add(
    "memory_bit_by_bit",
    """
    hoard = []
    while True:
        hoard.append(bytearray(1 << 20))
""",
    errors="SandboxLimit",
)
_add(
    "memory_by_mmap",
    """
    import mmap
    return BREACH if mmap.mmap(-1, 1 << 32) else 0
""",
    harmless=False,
)
_FAR = 5 << 40
# Single pages far apart: page tables that no limit counts. Then: what would make room for them.
for _name, _body in {
    "page_far_away": f"return syscall(9, 222, {_FAR}, 4096, 3, 0x100022, -1, 0)",
    "page_by_force": f"return syscall(9, 222, {_FAR}, 4096, 3, 0x32, -1, 0)",
    "page_beyond_47_bits": "return syscall(9, 222, 1 << 50, 4096, 3, 0x22, -1, 0)",
    "unmap_far_away": f"return syscall(11, 215, {_FAR}, 1 << 40)",
    "unmap_beyond_own_block": """
    import mmap
    m = mmap.mmap(-1, 4096)
    address = ctypes.addressof(ctypes.c_char.from_buffer(m))
    return syscall(11, 215, (address | 0xFFFFFFFF) + 1 - 4096 - (1 << 41), 1 << 41)
""",
    "move_mapping_far_away": f"""
    import mmap
    m = mmap.mmap(-1, 4096)
    address = ctypes.addressof(ctypes.c_char.from_buffer(m))
    return syscall(25, 216, address, 4096, 4096, 3, {_FAR})
""",
}.items():
    _add(_name, _body, harmless=_name not in ("page_beyond_47_bits", "unmap_beyond_own_block"))
_add("open_far_memory", f"return syscall(10, 226, {_FAR}, 1 << 30, 3)")
_add("guard_far_memory", f"return syscall(28, 233, {_FAR}, 1 << 40, 102)")
for _name, _body in {
    "memory_in_objects": "x = [[] for _ in range(10**9)]",
    "busy_loop": "while True: pass",
    "busy_module": "while True: pass\ndef f(): pass",
    "deaf_busy_loop": """
    import signal
    for number in range(1, 65):
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
    while True:
        try:
            while True: pass
        except BaseException: pass
""",
    "regex_backtracking": "import re; re.match('(a+)+$', 'a' * 64 + 'b')",
    "huge_power": "return (9 ** (9 ** 8)) and BREACH",
    "sleep_forever": "import time; time.sleep(1e6)",
    "deadlock": "import threading; x = threading.Lock(); x.acquire(); x.acquire()",
}.items():
    _add(_name, _body, errors="SandboxLimit")
_add("wait_for_input", "return BREACH if sys.stdin.read() else 0")
_add("print_flood", "while True: print('x' * 10_000)", errors="SandboxLimit")
_add(
    "descriptor_flood", "while True: os.write(1, b'x' * 100_000)", errors="SandboxLimit SandboxDied"
)
_add("error_flood", "raise ValueError('x' * 10**7)")
_add("name_flood", "raise type('x' * 10**6, (Exception,), {})")
_add("large_result", "return 'x' * 10**8", errors="SandboxLimit")
_add(
    "nested_result",
    """
    x = []
    for _ in range(10**5): x = [x]
    return x
""",
    errors="SandboxBadResult SandboxDied",
)
_add(
    "billion_laughs",
    """
    x = "ha"
    for _ in range(30): x = [x] * 10
    return x
""",
    errors="SandboxLimit SandboxBadResult",
)
_add(
    "huge_number_result",
    "sys.set_int_max_str_digits(0); return 10 ** 6_000",
    errors="SandboxBadResult",
)
_add(
    "deep_recursion",
    """
    sys.setrecursionlimit(10**9)
    def g(n): return g(n + 1) + 1
    return g(0)
""",
    errors="SandboxDied SandboxLimit",
)
_add(
    "deep_recursion_in_c",
    """
    sys.setrecursionlimit(10**9)
    x = ()
    for _ in range(10**6): x = (x,)
    return hash(x)
""",
    errors="SandboxDied SandboxLimit",
)
_add("deep_source", "return eval('(' * 10**5 + ')' * 10**5)")
_add("deep_expression", "return eval('-' * 10**6 + '1')", errors="")

# --- deaths --------------------------------------------------------------------------------------

_add("exit_at_once", "os._exit(0)", errors="SandboxDied")
_add("exit_as_out_of_memory", "os._exit(71)", errors="SandboxLimit")
_add("exit_politely", "sys.exit(0)")
_add("abort", "os.abort()", errors="SandboxDied")
_add("null_pointer", "ctypes.string_at(0)", errors="SandboxDied")
_add(
    "scribble_on_memory",
    "ctypes.memset(id(None), 0xAA, 1 << 12)",
    errors="SandboxDied SandboxLimit SandboxBadResult",
)
_add("close_connection", "os.close(3)", errors="SandboxDied")
_add("close_everything", "os.closerange(0, 100)")
_add("exit_at_exit", "import atexit; atexit.register(lambda: open(DATA['file'], 'w')); return 0")

# --- forged replies ------------------------------------------------------------------------------

_BAD = "SandboxBadResult"
for _name, _body in {
    "forge_garbage": "forge('garbage')",
    "forge_other_call": 'forge(\'{"i":7,"v":1}\')',
    "forge_no_call": "forge('{\"v\":1}')",
    "forge_list": "forge('[1]')",
    "forge_nan": 'forge(\'{"i":1,"v":NaN}\')',
    "forge_infinity": 'forge(\'{"i":1,"v":[1e999]}\')',
    "forge_long_infinity": "forge('{\"i\":1,\"v\":' + '9' * 400 + '.0}')",
    "forge_infinity_in_two_parts": "forge('{\"i\":1,\"v\":' + '9' * 250 + 'e99}')",
    "forge_infinity_below": "forge('{\"i\":1,\"v\":{\"a\":[-' + '1' * 299 + 'E+11]}}')",
    "forge_surrogate": 'forge(\'{"i":1,"v":"\\\\ud800"}\')',
    "forge_surrogate_key": 'forge(\'{"i":1,"v":{"\\\\udfff":1}}\')',
    "forge_bad_unicode": 'forge(\'{"i":1,"v":"\\ud800"}\')',
    "forge_depth": "forge('{\"i\":1,\"v\":' + '[' * 500 + ']' * 500 + '}')",
    "forge_endless_depth": "forge('{\"i\":1,\"v\":' + '[' * 20_000 + '}')",
    "forge_long_number": "forge('{\"i\":1,\"v\":' + '9' * 5000 + '}')",
    "forge_failure": 'forge(\'{"i":1,"f":["host","E","m"]}\')',
    "forge_limit": 'forge(\'{"i":1,"limit":{"a":1}}\')',
    "forge_too_much": 'forge(\'{"i":1,"v":1,"f":null}\')',
}.items():
    _add(_name, _body, errors=_BAD)
_add("forge_large_frame", "forge('', header=0xFFFFFFFF)", errors="SandboxLimit")
_add("forge_empty_frame", "forge('')", errors=_BAD)
_add(
    "forge_two_replies",
    """
    one = b'{"i":1,"v":1}'
    os.write(3, (len(one).to_bytes(4, "big") + one) * 2)
""",
    errors=_BAD,
)
_add("forge_half_a_frame", "forge('x', header=100); os._exit(0)", errors="SandboxDied")
_add(
    "forge_slowly",
    """
    import time
    os.write(3, (1000).to_bytes(4, "big"))
    while True:
        os.write(3, b" ")
        time.sleep(0.01)
""",
    errors="SandboxLimit",
)
_add("forge_flood", "while True: os.write(3, bytes(10_000))", errors=_BAD)
_add(
    "send_descriptor",
    """
    import socket
    socket.send_fds(socket.socket(fileno=os.dup(3)), [b"x"], [0])
    return BREACH
""",
)
_add("forge_own_reply", 'forge(\'{"i":1,"v":"breach"}\'); os._exit(0)')

# --- the next call, the next episode ----------------------------------------------------------

_add(
    "patch_builtins_for_later_calls",
    """
    import builtins
    if abs(-1) == 7:
        return BREACH
    builtins.abs = lambda _: 7
""",
    calls=2,
    harmless=True,
)
_add(
    "keep_state_in_a_module",
    """
    import json
    if hasattr(json, "planted"):
        return BREACH
    json.planted = 1
""",
    calls=2,
    harmless=True,
)
_add(
    "keep_state_in_own_module",
    """
    count = 0
    def f():
        global count
        count += 1
        DATA["count"] = DATA.get("count", 0) + 1
        return BREACH if count > 1 or DATA["count"] > 1 else 0
""",
    calls=3,
    meant_when_stateful=True,
)
_add(
    "patch_json", "import json, json.encoder; json.dumps = json.JSONEncoder.encode = lambda *_: '7'"
)
_add("patch_random", "import random; random.random = random.seed = lambda *_: 0.5")
_add("patch_modules", "sys.modules.clear()")
_add(
    "patch_runner",
    """
    frame = sys._getframe()
    while frame:
        if "self" in frame.f_locals and hasattr(frame.f_locals["self"], "answer"):
            type(frame.f_locals["self"]).answer = lambda *_: b'{"i":2,"v":0}'
        frame = frame.f_back
""",
    calls=2,
)
_add(
    "endless_finalizer",
    """
    class Trap:
        def __del__(self):
            while True: pass
    trap = Trap()
    def f(): return 0
""",
    calls=2,
    errors="SandboxLimit",
    needs_end_of_module=True,
)
_add(
    "raising_finalizer",
    """
    class Trap:
        def __del__(self):
            raise SystemExit(1)
    trap = Trap()
    def f(): return 0
""",
    calls=2,
)
_add(
    "hostile_result",
    """
    class Trap(dict):
        def items(self):
            os._exit(5)
    return Trap(a=1)
""",
    errors="SandboxDied",
)
_add(
    "hostile_exception",
    """
    class Trap(Exception):
        def __str__(self):
            raise self
    raise Trap
""",
)
_add("audit_hook", "sys.addaudithook(lambda *_: os._exit(6)); open('x')", errors="SandboxDied")
_add("trace_hook", "sys.settrace(lambda *_: os._exit(7)); (lambda: 0)()", errors="SandboxDied")
_add(
    "garbage_callback",
    "import gc; gc.callbacks.append(lambda *_: os._exit(8)); gc.collect()",
    errors="SandboxDied",
)
_add(
    "real_clock",
    """
    class Moment(ctypes.Structure):
        _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]
    moment = Moment()
    _libc.clock_gettime(0, ctypes.byref(moment))
    return BREACH if moment.seconds > 1_000_000_060 else 0
""",
    clock=1e9,
    harmless=True,
)
_add("true_randomness", "return BREACH if os.urandom(8) != os.urandom(8) else 0", harmless=True)
_add(
    "uptime_of_the_machine",
    "import time; return BREACH if time.clock_gettime(time.CLOCK_BOOTTIME) else 0",
    harmless=True,
)
_add(
    "path_of_the_installation", "return BREACH if os.path.isabs(os.__file__) else 0", harmless=True
)

_add(
    "read_later_calls",
    """
    frame = sys._getframe()
    while frame:
        for thing in list(frame.f_locals.values()):
            inner = getattr(thing, "gi_frame", None)
            if inner and b'"n"' in inner.f_locals.get("pending", b""):
                return BREACH
        frame = frame.f_back
    """,
    calls=2,
    harmless=True,
    together=True,
)
_add(
    "answer_later_calls_wrongly",
    """
    forge('{"i":1,"v":0}')
    forge('{"i":1,"v":"again"}')
    """,
    calls=2,
    together=True,
    errors="SandboxBadResult",
)
