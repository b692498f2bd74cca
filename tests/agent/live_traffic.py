"""Programs that run inside the namespaces: plain sockets of real kernels, and raw packets where a kernel would not."""

from __future__ import annotations

SERVERS = r"""
import socket, sys, threading

def tcp(address, port, talk, family=socket.AF_INET):
    listener = socket.create_server((address, port), family=family, backlog=200)
    def serve():
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=talk, args=(connection,), daemon=True).start()
    threading.Thread(target=serve, daemon=True).start()

def udp(address, port, answer, family=socket.AF_INET):
    bound = socket.socket(family, socket.SOCK_DGRAM)
    bound.bind((address, port))
    def serve():
        while True:
            data, peer = bound.recvfrom(4096)
            if answer is not None:
                bound.sendto(answer(data), peer)
    threading.Thread(target=serve, daemon=True).start()

def echo(connection):
    with connection:
        while data := connection.recv(65536):
            connection.sendall(data)

def banner(connection):
    connection.sendall(b"hello")
    connection.close()

def hold(connection):
    connection.recv(1)

def dns(query):  # the question, and an A record for it
    return query[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + query[12:] + b"\xc0\x0c\0\1\0\1\0\0\1\x2c\0\4\x0a\x4d\2\2"

def dns_tcp(connection):
    with connection:
        size = int.from_bytes(connection.recv(2), "big")
        answer = dns(connection.recv(size))
        connection.sendall(len(answer).to_bytes(2, "big") + answer)
        connection.recv(1)

four, six = sys.argv[1:3]
tcp(four, 8000, echo)
tcp(four, 8001, banner)
tcp(four, 8002, hold)
tcp(four, 53, dns_tcp)
udp(four, 5000, lambda data: data)
udp(four, 5002, None)
udp(four, 53, dns)
if six != "-":
    tcp(six, 8000, echo, socket.AF_INET6)
    udp(six, 5000, lambda data: data, socket.AF_INET6)
print("ready", flush=True)
threading.Event().wait()
"""

TALK = r"""
import socket, struct, sys, time

def short(address, port, size=100):
    with socket.create_connection((address, port), timeout=5) as s:
        s.sendall(b"x" * size)
        s.shutdown(socket.SHUT_WR)
        while s.recv(65536):
            pass

def attempt(address, port, wait=0.5):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as s:
        s.settimeout(wait)
        try:
            s.connect((address, port))
        except OSError:
            pass

def banner(address, port):
    with socket.create_connection((address, port), timeout=5) as s:
        while s.recv(100):
            pass

def abort(address, port):
    s = socket.create_connection((address, port), timeout=5)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()

def ask(address, port, data, wait=1.0):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        s.connect((address, port))
        s.settimeout(wait)
        try:
            s.send(data)
            s.recv(4096)
        except OSError:
            pass

QUESTION = b"\x12\x34\1\0\0\1\0\0\0\0\0\0\5ghost\7example\0\0\1\0\1"

def ask_tcp(address):
    with socket.create_connection((address, 53), timeout=5) as s:
        s.sendall(len(QUESTION).to_bytes(2, "big") + QUESTION)
        s.recv(4096)

CLIENT_HELLO = bytes.fromhex(sys.argv[5])
server, server6, far, virtual = sys.argv[1:5]
for size in (0, 1, 100, 100_000, 2_000_000):
    short(server, 8000, size)
short(virtual, 80)
short(far, 8000, 50_000)
short(server6, 8000, 5_000)
banner(server, 8001)
banner(server, 8001)
abort(server, 8002)
for address in (server, server6, far):
    attempt(address, 9)
attempt(server, 7777)
ask(server, 5000, b"ping")
ask(far, 5000, b"ping")
ask(server6, 5000, b"ping")
ask(server, 5001, b"nobody")
ask(server, 5002, b"one way", 0.1)
ask(server, 7777, b"dropped", 0.1)
ask(server, 53, QUESTION)
ask_tcp(server)
with socket.create_connection((server, 8000), timeout=5) as s:
    s.sendall(CLIENT_HELLO)
    s.recv(4096)
"""

ONE = r"""
import socket, sys
with socket.create_connection((sys.argv[1], 8000), timeout=5) as s:
    s.send(b"x")
    s.recv(1)
"""

HOLD = r"""
import socket, sys, threading
held = [socket.create_connection((address, 8002), timeout=5) for address in sys.argv[1:]]
print("held", flush=True)
threading.Event().wait()
"""

HOLD_TALKED = r"""
import socket, sys, threading
held = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5)
held.sendall(b"x")
held.recv(1)
print("held", flush=True)
threading.Event().wait()
"""

TRACKED = r"""
from netpol.agent.conntrack import from_table, over_netlink
for way in (over_netlink, from_table):
    print(sorted(way()))
"""

STREAM = r"""
import socket, sys, time
s = socket.create_connection((sys.argv[1], 8000), timeout=5)
s.sendall(b"first"); s.recv(100)
print("open", flush=True)
while True:
    s.sendall(b"y" * 1000)
    s.recv(65536)
    time.sleep(0.002)
"""

SYN_ONLY = r"""
# A SYN out of a raw socket; the kernel would answer the SYN-ACK with a RST, which the caller has to drop.
import socket, struct, sys
source, destination, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
ends = socket.inet_aton(source) + socket.inet_aton(destination)
segment = struct.pack("!HHIIBBHHH", 40404, port, 12345, 0, 5 << 4, 2, 1024, 0, 0)
pseudo = ends + struct.pack("!BBH", 0, 6, len(segment)) + segment
total = sum(struct.unpack(f"!{len(pseudo) // 2}H", pseudo))
total = (total & 0xFFFF) + (total >> 16)
check = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
raw.sendto(segment[:16] + struct.pack("!H", check) + segment[18:], (destination, 0))
"""

SCTP_SERVER = r"""
import socket, struct
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, 132)
print("ready", flush=True)
answers = {1: 2, 10: 11, 0: 3, 7: 8}
while True:
    data, (peer, _) = raw.recvfrom(4096)
    packet = data[(data[0] & 15) * 4:]
    source, destination = struct.unpack("!HH", packet[:4])
    kind = packet[12]
    if destination == 6000 and kind in answers:
        chunk = struct.pack("!BBHIIHHI", answers[kind], 0, 20, 77, 1000, 1, 1, 1)
        raw.sendto(struct.pack("!HHII", destination, source, 55, 0) + chunk, (peer, 0))
"""

SCTP_CLIENT = r"""
import socket, struct, sys
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, 132)
raw.settimeout(2)
def say(kind, port, wait=True):
    chunk = struct.pack("!BBHIIHHI", kind, 3, 20, 55, 1000, 1, 1, 1)
    raw.sendto(struct.pack("!HHII", 33333, port, 77, 0) + chunk, (sys.argv[1], 0))
    if wait:
        raw.recvfrom(4096)
for kind in (1, 10, 0, 7):
    say(kind, 6000)
say(14, 6000, wait=False)
say(1, 6001, wait=False)
"""
