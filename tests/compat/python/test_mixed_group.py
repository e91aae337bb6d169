"""A Java and a Python member in one group: they share its partitions, and each takes over from the other."""

import json
import os
import subprocess
import threading
import time

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from kafka import KafkaConsumer
from kafka.coordinator.assignors.range import RangePartitionAssignor

from compat import ADDRESS, check, equal, run, test, topic

PARTITIONS = 4


class JavaMember:
    """Member.java in a process of its own."""

    def __init__(self, name, group, protocol):
        words = json.loads(os.environ["COMPAT_JAVA"]) + ["Member", ADDRESS, name, group, protocol]
        errors = open(os.path.join(os.environ["COMPAT_LOGS"], f"member-{group}.err"), "ab")
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True)
        errors.close()
        self.partitions = set()
        self.records = []
        self.left = False
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            word, _, rest = line.strip().partition(" ")
            if word == "assigned":
                self.partitions = {int(p) for p in rest.split(",") if p}
            elif word == "record":
                partition, offset, value = rest.split(" ")
                self.records.append((int(partition), int(offset), value))
            elif word == "left":
                self.left = True

    def leave(self):
        self.process.stdin.write("x")
        self.process.stdin.close()
        self.process.wait(60)
        self.reader.join(60)
        check(self.left, "the Java member did not leave by itself")

    def kill(self):
        self.process.kill()


class PythonMember(threading.Thread):
    """What both Python clients have in common: a loop that reads and commits."""

    def __init__(self, name, group, protocol):
        super().__init__(daemon=True)
        self.open(name, group, protocol)
        self.partitions = set()
        self.records = []
        self.going = True
        self.error = None
        self.start()

    def run(self):
        try:
            while self.going:
                self.step()
            self.consumer.close()
        except Exception as error:
            self.error = error

    def leave(self):
        self.going = False
        self.join(60)
        check(not self.is_alive() and self.error is None, f"the Python member did not leave: {self.error}")

    kill = leave


class Confluent(PythonMember):
    """librdkafka."""

    def open(self, name, group, protocol):
        settings = {"bootstrap.servers": ADDRESS, "group.id": group, "group.protocol": protocol,
                    "enable.auto.commit": False, "auto.offset.reset": "earliest"}
        if protocol == "classic":
            settings["partition.assignment.strategy"] = "range"
        self.consumer = Consumer(settings)
        self.consumer.subscribe([name])

    def step(self):
        messages = self.consumer.consume(100, timeout=0.1)
        for message in messages:
            check(message.error() is None, f"{message.error()}")
            self.records.append((message.partition(), message.offset(), message.value().decode()))
        if messages:
            self.consumer.commit(asynchronous=False)
        self.partitions = {tp.partition for tp in self.consumer.assignment()}


class KafkaPython(PythonMember):
    """kafka-python, which is written in Python alone."""

    def open(self, name, group, protocol):
        self.consumer = KafkaConsumer(name, bootstrap_servers=ADDRESS, group_id=group, enable_auto_commit=False,
                                      auto_offset_reset="earliest",
                                      partition_assignment_strategy=[RangePartitionAssignor])

    def step(self):
        read = self.consumer.poll(timeout_ms=100)
        for records in read.values():
            self.records.extend((r.partition, r.offset, r.value.decode()) for r in records)
        if read:
            self.consumer.commit()
        self.partitions = {tp.partition for tp in self.consumer.assignment()}


class Group:
    """One group, its topic, and what its members have read."""

    def __init__(self, name, python, protocol):
        self.topic = topic(name)
        self.group = f"g-{self.topic}"
        self.python = python
        self.protocol = protocol
        self.members = []
        # By those that are no members any more.
        self.read = []
        self.sent = 0
        self.admin = AdminClient({"bootstrap.servers": ADDRESS})
        for future in self.admin.create_topics([NewTopic(self.topic, PARTITIONS, 1)]).values():
            future.result(60)

    def __enter__(self):
        return self

    def __exit__(self, failed, *_):
        for member in self.members:
            try:
                member.kill()
            except AssertionError:
                # What has failed before says more, and the others are to end too.
                if not failed:
                    raise

    def join(self, kind):
        member = kind(self.topic, self.group, self.protocol)
        self.members.append(member)
        return member

    def leave(self, member):
        member.leave()
        self.members.remove(member)
        self.read += member.records

    def wait(self, what, question):
        deadline = time.time() + 90
        while not question():
            dead = [m.error for m in self.members if getattr(m, "error", None)]
            check(not dead, f"a member failed: {dead}")
            check(time.time() < deadline, f"not within 90 s: {what}; {[sorted(m.partitions) for m in self.members]}")
            time.sleep(0.05)

    def shared(self):
        """Each partition has one owner, and each member as many."""
        def so():
            owned = [p for m in self.members for p in m.partitions]
            each = {len(m.partitions) for m in self.members}
            return sorted(owned) == list(range(PARTITIONS)) and len(each) == 1

        self.wait("the partitions are shared", so)

    def committed(self):
        wanted = [ConsumerGroupTopicPartitions(self.group)]
        (future,) = self.admin.list_consumer_group_offsets(wanted).values()
        return sum(max(tp.offset, 0) for tp in future.result(60).topic_partitions)

    def all_read(self):
        return self.read + [r for m in self.members for r in m.records]

    def round_of_records(self, count=400):
        """Sends, and waits until all is read and committed: each record once, whoever read it."""
        producer = Producer({"bootstrap.servers": ADDRESS, "linger.ms": 5})
        for n in range(self.sent, self.sent + count):
            producer.produce(self.topic, f"value-{n}", partition=n % PARTITIONS)
        equal(producer.flush(60), 0, "undelivered")
        self.sent += count
        self.wait("everything is read", lambda: len(self.all_read()) >= self.sent)
        self.wait("everything is committed", lambda: self.committed() == self.sent)
        values = sorted(int(value.removeprefix("value-")) for _, _, value in self.all_read())
        equal(values, list(range(self.sent)), "what was read")
        places = {(partition, offset) for partition, offset, _ in self.all_read()}
        equal(len(places), self.sent, "places that were read")


def take_turns(name, python, protocol):
    with Group(name, python, protocol) as group:
        java = group.join(JavaMember)
        group.shared()
        group.round_of_records()
        other = group.join(python)
        group.shared()
        before = len(java.records), len(other.records)
        group.round_of_records()
        equal((len(java.records) - before[0], len(other.records) - before[1]), (200, 200), "records of each")
        group.leave(java)
        group.shared()
        group.round_of_records()
        group.join(JavaMember)
        group.shared()
        group.leave(other)
        group.shared()
        group.round_of_records()
        for member in list(group.members):
            group.leave(member)


@test
def classic_confluent_kafka():
    take_turns("mixed-ck", Confluent, "classic")


@test
def classic_kafka_python():
    take_turns("mixed-kp", KafkaPython, "classic")


@test
def consumer_confluent_kafka():
    take_turns("mixed-848", Confluent, "consumer")


@test
def member_killed():
    """A Java member that ends without leaving: its partitions go to the other when its session has ended."""
    with Group("mixed-killed", Confluent, "consumer") as group:
        group.join(Confluent)
        java = group.join(JavaMember)
        group.shared()
        group.round_of_records()
        group.members.remove(java)
        group.read += java.records
        java.kill()
        group.shared()
        group.round_of_records()


run()
