"""kcat as a user calls it: metadata, produce, consume, query."""

import json
import subprocess
import threading
import time

from compat import ADDRESS, check, compressible, each_codec, equal, run, test, topic


def kcat(*args, stdin=b"", fails=False):
    """Runs kcat and gives its standard output. For what it asks about, it has 30 s and not five."""
    command = ["kcat", "-b", ADDRESS, "-m", "30", *args]
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=60)
    check((done.returncode != 0) == fails, f"kcat {' '.join(args)}: exit code {done.returncode}, {done.stderr.decode()}")
    return done.stderr.decode() if fails else done.stdout


def metadata(*args):
    return json.loads(kcat("-L", "-J", *args))


def query(name, partition, timestamp):
    """The offset that `-Q` prints: `topic [partition] offset N`."""
    out = kcat("-Q", "-t", f"{name}:{partition}:{timestamp}").decode().split()
    equal(out[:3], [name, f"[{partition}]", "offset"], "what -Q prints")
    return int(out[3])


@test
def list_brokers():
    answer = metadata()
    equal(len(answer["brokers"]), 1, "number of brokers")
    equal(answer["brokers"][0]["name"], ADDRESS, "the broker's name")
    equal(answer["controllerid"], answer["brokers"][0]["id"], "controller")


@test
def list_creates_topic():
    name = topic("created")
    deadline = time.time() + 60
    while True:
        (found,) = metadata("-t", name)["topics"]
        if not found.get("error"):
            break
        check(time.time() < deadline, f"still no leader: {found}")
        time.sleep(0.1)
    equal(found["topic"], name)
    (partition,) = found["partitions"]
    equal(partition["partition"], 0)
    check(partition["leader"] >= 0, f"no leader: {partition}")
    equal(len(partition["replicas"]), 1, "replicas")
    equal(len(partition["isrs"]), 1, "in-sync replicas")


@each_codec
def produce_and_consume(codec):
    name = topic(codec)
    lines = compressible(1000)
    kcat("-P", "-t", name, "-p", "0", "-z", codec, stdin=b"\n".join(lines) + b"\n")
    out = kcat("-C", "-t", name, "-p", "0", "-o", "beginning", "-e", "-q", "-X", "check.crcs=true")
    equal(out.splitlines(), lines, "values")


@test
def keys_headers_and_tombstones():
    name = topic("keys")
    produce = ["-P", "-t", name, "-p", "0", "-K:", "-Z", "-H", "a=1", "-H", "b=two", "-H", "a=3"]
    kcat(*produce, stdin=b"k1:v1\nk2:v2\nk3:\n")
    out = kcat("-C", "-t", name, "-p", "0", "-o", "beginning", "-e", "-q", "-Z", "-f", "%o|%k|%s|%S|%h\n")
    wanted = ["0|k1|v1|2|a=1,b=two,a=3", "1|k2|v2|2|a=1,b=two,a=3", "2|k3|NULL|-1|a=1,b=two,a=3"]
    equal(out.decode().splitlines(), wanted, "records")


@test
def acks_none_one_and_all():
    name = topic("acks")
    for acks in ["0", "1", "all"]:
        kcat("-P", "-t", name, "-p", "0", "-X", f"acks={acks}", stdin=f"with {acks}\n".encode())
    deadline = time.time() + 60
    # acks=0 is not answered, so its record may become visible a little later than kcat ends.
    while query(name, 0, -1) < 3:
        check(time.time() < deadline, "records are missing")
        time.sleep(0.05)
    out = kcat("-C", "-t", name, "-p", "0", "-o", "beginning", "-e", "-q")
    equal(sorted(out.splitlines()), [b"with 0", b"with 1", b"with all"], "values")


@test
def idempotent_producer():
    name = topic("idempotent")
    lines = compressible(5000, 100)
    kcat("-P", "-t", name, "-p", "0", "-X", "enable.idempotence=true", stdin=b"\n".join(lines) + b"\n")
    equal(kcat("-C", "-t", name, "-p", "0", "-o", "beginning", "-e", "-q").splitlines(), lines, "values")


@test
def offsets():
    name = topic("offsets")
    kcat("-P", "-t", name, "-p", "0", stdin=b"".join(b"v%d\n" % n for n in range(10)))

    def read(*args):
        return kcat("-C", "-t", name, "-p", "0", "-q", "-f", "%o=%s ", *args).decode().split()

    equal(read("-o", "7", "-e"), ["7=v7", "8=v8", "9=v9"], "from an offset")
    equal(read("-o", "-2", "-e"), ["8=v8", "9=v9"], "the last two")
    equal(read("-o", "3", "-c", "2"), ["3=v3", "4=v4"], "a count")
    equal(read("-o", "end", "-e"), [], "from the end")


@test
def offsets_by_timestamp():
    name = topic("timestamps")
    kcat("-P", "-t", name, "-p", "0", stdin=b"old 1\nold 2\n")
    time.sleep(0.3)
    middle = int(time.time() * 1000)
    time.sleep(0.3)
    kcat("-P", "-t", name, "-p", "0", stdin=b"new 1\nnew 2\n")
    out = kcat("-C", "-t", name, "-p", "0", "-o", f"s@{middle}", "-e", "-q")
    equal(out.splitlines(), [b"new 1", b"new 2"], "since the middle")
    out = kcat("-C", "-t", name, "-p", "0", "-o", "s@1", "-o", f"e@{middle}", "-e", "-q")
    equal(out.splitlines(), [b"old 1", b"old 2"], "until the middle")
    equal(query(name, 0, middle), 2, "first offset after the middle")
    equal(query(name, 0, -2), 0, "earliest")
    equal(query(name, 0, -1), 4, "latest")
    equal(query(name, 0, middle + 3_600_000), -1, "nothing that late")


@test
def unknown_partition():
    name = topic("small")
    kcat("-P", "-t", name, "-p", "0", stdin=b"v\n")
    said = kcat("-C", "-t", name, "-p", "5", "-o", "beginning", "-e", fails=True)
    check("partition 5 does not exist" in said, f"said: {said}")


@test
def big_message():
    name = topic("big")
    value = b"x" * 900_000
    kcat("-P", "-t", name, "-p", "0", "-D", "|", stdin=value)
    equal(len(kcat("-C", "-t", name, "-p", "0", "-o", "beginning", "-c", "1", "-q", "-D", "|")), 900_001, "bytes")
    too_big = b"y" * 1_100_000
    kcat("-P", "-t", name, "-p", "0", "-D", "|", "-X", "message.max.bytes=2000000", stdin=too_big, fails=True)
    equal(query(name, 0, -1), 1, "the end: what is too large was refused")


@test
def tail_sees_new_records():
    name = topic("tail")
    kcat("-P", "-t", name, "-p", "0", stdin=b"before\n")
    command = ["kcat", "-b", ADDRESS, "-C", "-t", name, "-p", "0", "-o", "end", "-c", "3", "-u"]
    tail = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    # One that says nothing would be waited for without end.
    limit = threading.Timer(60, tail.kill)
    limit.start()
    try:
        # "Reached end of topic" says that it waits at the end.
        said = tail.stderr.readline()
        check(b"Reached end" in said, f"did not reach the end within 60 s, said: {said}")
        kcat("-P", "-t", name, "-p", "0", stdin=b"a\nb\nc\n")
        out, _ = tail.communicate(timeout=60)
    finally:
        limit.cancel()
        tail.kill()
    equal(out.splitlines(), [b"a", b"b", b"c"], "values")


@test
def group_consumer():
    name = topic("group")
    kcat("-P", "-t", name, "-p", "0", stdin=b"a\nb\nc\n")
    args = ["-G", f"g-{name}", "-X", "auto.offset.reset=earliest", "-q", "-c", "3", name]
    equal(kcat(*args).splitlines(), [b"a", b"b", b"c"], "values")


run()
