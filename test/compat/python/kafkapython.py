"""kafka-python for the compatibility suite."""

import sys
import time

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka import admin as admin_api
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.structs import OffsetAndMetadata

import driver
from driver import LIMIT_S, Gathering, Unsupported, record

bootstrap = sys.argv[1]

# Versions with idempotent producers have them on by default; 2.0 does not know the word.
OFF = {"enable_idempotence": False} if "enable_idempotence" in KafkaProducer.DEFAULT_CONFIG else {}


def produce(job):
    p = KafkaProducer(
        bootstrap_servers=bootstrap,
        acks="all" if job["acks"] == -1 else job["acks"],
        compression_type=None if job["codec"] == "none" else job["codec"],
        max_request_size=2 << 20,
        max_in_flight_requests_per_connection=5 if job["idempotent"] else 1,
        linger_ms=5,
        **({"enable_idempotence": True} if job["idempotent"] else OFF),
    )
    try:
        sent = [
            p.send(job["topic"], key=r["k"], value=r["v"], headers=r["h"], partition=r["p"], timestamp_ms=r["t"])
            for r in job["records"]
        ]
        return [f.get(timeout=LIMIT_S).offset for f in sent]
    finally:
        p.close(timeout=10)


def consumer(**kw):
    return KafkaConsumer(
        bootstrap_servers=bootstrap,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        heartbeat_interval_ms=300,
        **kw,
    )


def rec(m):
    return record(m.topic, m.partition, m.offset, m.timestamp, m.key, m.value, m.headers)


def consume(job):
    c = consumer()
    got = []
    try:
        tps = [TopicPartition(t, p) for t in job["topics"] for p in c.partitions_for_topic(t)]
        c.assign(tps)
        c.seek_to_beginning(*tps)
        deadline = time.monotonic() + LIMIT_S
        while len(got) < job["count"]:
            if time.monotonic() > deadline:
                raise TimeoutError(f"after {len(got)} of {job['count']} records")
            for ms in c.poll(timeout_ms=200).values():
                got.extend(rec(m) for m in ms)
    finally:
        c.close()
    return got


class Listener(ConsumerRebalanceListener):
    def __init__(self, g, i):
        self.g, self.i = g, i

    def on_partitions_assigned(self, assigned):
        self.g.assign(self.i, [tp.partition for tp in assigned])

    def on_partitions_revoked(self, revoked):
        self.g.revoke(self.i, [tp.partition for tp in revoked])


def member(g, i, deadline):
    c = consumer(group_id=g.job["group"])
    try:
        c.subscribe([g.job["topic"]], listener=Listener(g, i))
        while not g.finished():
            if time.monotonic() > deadline:
                raise g.late()
            got = c.poll(timeout_ms=100)
            for ms in got.values():
                for m in ms:
                    g.add(i, rec(m))
            if got:
                c.commit()
    finally:
        c.close()


def group(job):
    return Gathering(job).run(member)


def admin(job):
    a = KafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        return call(a, job)
    finally:
        a.close()


def call(a, job):
    topic, act = job.get("topic"), job["action"]
    if act == "create_topic":
        a.create_topics([admin_api.NewTopic(topic, job["partitions"], job["replicas"], topic_configs=job.get("configs") or {})])
    elif act == "list_topics":
        return {"topics": list(a.list_topics())}
    elif act == "describe_topic":
        (t,) = a.describe_topics([topic])
        return {"partitions": len(t["partitions"])}
    elif act == "create_partitions":
        a.create_partitions({topic: admin_api.NewPartitions(job["partitions"])})
    elif act == "alter_configs":
        a.alter_configs([admin_api.ConfigResource("TOPIC", topic, job["configs"])])
    elif act in ("describe_configs", "describe_broker"):
        kind, name = ("topic", topic) if act == "describe_configs" else ("broker", "1")
        got = a.describe_configs([admin_api.ConfigResource(kind.upper(), name)], config_filter="all")
        return {"configs": {k: v["value"] or "" for k, v in got[kind][name].items()}}
    elif act == "delete_topic":
        a.delete_topics([topic])
    else:
        return data(a, job)
    return {}


def data(a, job):
    topic, act, group = job.get("topic"), job["action"], job.get("group")
    first = TopicPartition(topic, 0)
    if act == "list_offsets":
        got = a.list_partition_offsets({TopicPartition(topic, p): admin_api.OffsetSpec.LATEST for p in range(job["partitions"])})
        return {"offsets": {str(tp.partition): r.offset for tp, r in got.items()}}
    if act == "delete_records":
        a.delete_records({first: job["offset"]})
    elif act == "describe_log_dirs":
        return {"bytes": sum_sizes(a.describe_log_dirs())}
    elif act == "list_groups":
        return {"groups": [g["group_id"] for g in a.list_groups()]}
    elif act == "describe_group":
        return {"state": a.describe_groups([group])[group]["group_state"]}
    elif act == "group_offsets":
        got = a.list_group_offsets({group: None})[group]
        return {"offsets": {str(tp.partition): o.offset for tp, o in got.items()}}
    elif act == "alter_offsets":
        for err in a.alter_group_offsets(group, {first: OffsetAndMetadata(job["offset"], "", -1)}).values():
            if getattr(err, "errno", 0):
                raise err
    elif act == "delete_group":
        a.delete_groups([group])
    else:
        raise Unsupported(act)
    return {}


def sum_sizes(doc):
    """Adds up every partition_size of a nested answer."""
    if isinstance(doc, dict):
        return sum(v if k == "partition_size" else sum_sizes(v) for k, v in doc.items())
    if isinstance(doc, (list, tuple)):
        return sum(map(sum_sizes, doc))
    return 0


if __name__ == "__main__":
    driver.main(sys.modules[__name__])
