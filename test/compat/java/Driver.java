// Driver runs the Apache Java client for the compatibility suite: one JSON command a line on stdin, one JSON answer a
// line on stdout (client_test.go states the fields). Log output goes to stderr.

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.TypeAdapter;
import com.google.gson.stream.JsonReader;
import com.google.gson.stream.JsonToken;
import com.google.gson.stream.JsonWriter;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.*;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.*;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.*;

public class Driver {
    static final long LIMIT_MS = 60_000;
    static final Duration POLL = Duration.ofMillis(100);

    static class H { String n; byte[] v; }

    static class Rec {
        String topic; int p; long o; long t; byte[] k; byte[] v; List<H> h = new ArrayList<>();
    }

    static class Job {
        String op, topic, codec, group, action, out, id;
        boolean idempotent;
        int acks, count, members, partitions, replicas;
        long offset;
        List<Rec> records;
        List<String> topics;
        Map<String, String> configs;
    }

    static class AdminOut {
        List<String> topics; int partitions; Map<String, String> configs; List<String> groups; String state;
        Map<String, Long> offsets; long bytes;
    }

    static class Reply {
        boolean ok; String error; String event; List<List<Integer>> assignment; List<Long> offsets;
        List<Rec> records; List<List<Rec>> members; AdminOut admin;
    }

    static final Gson GSON = new GsonBuilder().registerTypeAdapter(byte[].class, new TypeAdapter<byte[]>() {
        @Override public void write(JsonWriter w, byte[] b) throws IOException {
            if (b == null) w.nullValue(); else w.value(Base64.getEncoder().encodeToString(b));
        }
        @Override public byte[] read(JsonReader r) throws IOException {
            if (r.peek() == JsonToken.NULL) { r.nextNull(); return null; }
            return Base64.getDecoder().decode(r.nextString());
        }
    }).create();

    static String bootstrap;
    static PrintStream out;

    public static void main(String[] args) throws Exception {
        bootstrap = args[0];
        out = new PrintStream(new java.io.FileOutputStream(java.io.FileDescriptor.out), false, "UTF-8");
        System.setOut(System.err);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line; (line = in.readLine()) != null; ) {
            Job job = GSON.fromJson(line, Job.class);
            Reply reply = new Reply();
            try {
                reply.ok = true;
                switch (job.op) {
                    case "produce": reply.offsets = produce(job); break;
                    case "consume": reply.records = consume(job); break;
                    case "group": reply.members = group(job); break;
                    case "transact": transact(job); break;
                    case "admin": reply.admin = admin(job); break;
                    default: throw new IllegalArgumentException("op " + job.op);
                }
            } catch (Throwable e) {
                Throwable cause = e instanceof ExecutionException ? e.getCause() : e;
                e.printStackTrace(System.err);
                reply = new Reply();
                reply.error = cause.toString();
            }
            send(reply);
        }
        System.exit(0);
    }

    static synchronized void send(Reply r) {
        out.println(GSON.toJson(r));
        out.flush();
    }

    static List<Long> produce(Job job) throws Exception {
        Properties p = new Properties();
        p.put(ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrap);
        p.put(ProducerConfig.ACKS_CONFIG, String.valueOf(job.acks));
        p.put(ProducerConfig.ENABLE_IDEMPOTENCE_CONFIG, job.idempotent);
        p.put(ProducerConfig.COMPRESSION_TYPE_CONFIG, job.codec);
        p.put(ProducerConfig.MAX_REQUEST_SIZE_CONFIG, 2 << 20);
        p.put(ProducerConfig.DELIVERY_TIMEOUT_MS_CONFIG, (int) LIMIT_MS);
        p.put(ProducerConfig.LINGER_MS_CONFIG, 5);
        if (!job.idempotent) p.put(ProducerConfig.MAX_IN_FLIGHT_REQUESTS_PER_CONNECTION, 1);
        List<Long> offsets = new ArrayList<>();
        try (KafkaProducer<byte[], byte[]> producer =
                 new KafkaProducer<>(p, new ByteArraySerializer(), new ByteArraySerializer())) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (Rec r : job.records) {
                ProducerRecord<byte[], byte[]> pr = new ProducerRecord<>(job.topic, r.p, r.t, r.k, r.v);
                if (r.h != null) for (H h : r.h) pr.headers().add(h.n, h.v);
                sent.add(producer.send(pr));
            }
            for (Future<RecordMetadata> f : sent) offsets.add(f.get(LIMIT_MS, TimeUnit.MILLISECONDS).offset());
        }
        return offsets;
    }

    static KafkaConsumer<byte[], byte[]> consumer(String group) {
        Properties p = new Properties();
        p.put(ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrap);
        p.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
        p.put(ConsumerConfig.ENABLE_AUTO_COMMIT_CONFIG, false);
        p.put(ConsumerConfig.ISOLATION_LEVEL_CONFIG, "read_committed");
        p.put(ConsumerConfig.HEARTBEAT_INTERVAL_MS_CONFIG, 300);
        if (group != null) p.put(ConsumerConfig.GROUP_ID_CONFIG, group);
        return new KafkaConsumer<>(p, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    // transact moves count records from a topic to another in transactions that hold the group's offsets, each of them
    // first in one with poison that is aborted.
    static void transact(Job job) throws Exception {
        Properties p = new Properties();
        p.put(ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrap);
        p.put(ProducerConfig.TRANSACTIONAL_ID_CONFIG, job.id);
        p.put(ProducerConfig.DELIVERY_TIMEOUT_MS_CONFIG, (int) LIMIT_MS);
        int moved = 0;
        long deadline = System.currentTimeMillis() + LIMIT_MS;
        try (KafkaConsumer<byte[], byte[]> c = consumer(job.group);
             KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(p, new ByteArraySerializer(), new ByteArraySerializer())) {
            producer.initTransactions();
            c.subscribe(List.of(job.topic));
            while (moved < job.count) {
                if (System.currentTimeMillis() > deadline) throw new IllegalStateException("timed out after " + moved + " of " + job.count + " records");
                ConsumerRecords<byte[], byte[]> batch = c.poll(POLL);
                if (batch.isEmpty()) continue;
                for (boolean commit : new boolean[] {false, true}) {
                    producer.beginTransaction();
                    Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
                    for (ConsumerRecord<byte[], byte[]> r : batch) {
                        producer.send(new ProducerRecord<>(job.out, r.partition(), r.key(), commit ? r.value() : "poison".getBytes()));
                        offsets.put(new TopicPartition(r.topic(), r.partition()), new OffsetAndMetadata(r.offset() + 1));
                    }
                    producer.sendOffsetsToTransaction(offsets, c.groupMetadata());
                    if (commit) {
                        producer.commitTransaction();
                        moved += batch.count();
                    } else {
                        producer.flush();
                        producer.abortTransaction();
                    }
                }
            }
        }
    }

    static Rec rec(ConsumerRecord<byte[], byte[]> c) {
        Rec r = new Rec();
        r.topic = c.topic(); r.p = c.partition(); r.o = c.offset(); r.t = c.timestamp(); r.k = c.key(); r.v = c.value();
        for (Header h : c.headers()) {
            H x = new H();
            x.n = h.key(); x.v = h.value();
            r.h.add(x);
        }
        return r;
    }

    static List<Rec> consume(Job job) {
        List<Rec> got = new ArrayList<>();
        try (KafkaConsumer<byte[], byte[]> c = consumer(null)) {
            List<TopicPartition> tps = new ArrayList<>();
            for (String t : job.topics) for (PartitionInfo i : c.partitionsFor(t)) tps.add(new TopicPartition(t, i.partition()));
            c.assign(tps);
            c.seekToBeginning(tps);
            long deadline = System.currentTimeMillis() + LIMIT_MS;
            while (got.size() < job.count) {
                if (System.currentTimeMillis() > deadline) throw new IllegalStateException("timed out after " + got.size() + " of " + job.count + " records");
                for (ConsumerRecord<byte[], byte[]> r : c.poll(POLL)) got.add(rec(r));
            }
        }
        return got;
    }

    /** Gathering is what the members of one group share. */
    static class Gathering {
        final Job job;
        final List<Set<Integer>> held = new ArrayList<>();
        final List<List<Rec>> records = new ArrayList<>();
        final Set<String> seen = new HashSet<>();
        boolean told;

        Gathering(Job job) {
            this.job = job;
            for (int i = 0; i < job.members; i++) { held.add(new TreeSet<>()); records.add(new ArrayList<>()); }
        }

        synchronized void assign(int m, Collection<TopicPartition> ps) {
            for (TopicPartition tp : ps) held.get(m).add(tp.partition());
            for (Set<Integer> h : held) if (h.isEmpty()) return;
            if (told) return;
            told = true;
            Reply r = new Reply();
            r.event = "assigned";
            r.assignment = new ArrayList<>();
            for (Set<Integer> h : held) r.assignment.add(new ArrayList<>(h));
            send(r);
        }

        synchronized void revoke(int m, Collection<TopicPartition> ps) {
            for (TopicPartition tp : ps) held.get(m).remove(tp.partition());
        }

        synchronized void add(int m, Rec r) { records.get(m).add(r); seen.add(r.p + "/" + r.o); }

        synchronized boolean finished() { return told && seen.size() >= job.count; }
    }

    static List<List<Rec>> group(Job job) throws Exception {
        Gathering g = new Gathering(job);
        AtomicReference<Throwable> failure = new AtomicReference<>();
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < job.members; i++) {
            int m = i;
            Thread t = new Thread(() -> {
                try { member(g, m, failure); } catch (Throwable e) { failure.compareAndSet(null, e); }
            });
            t.start();
            threads.add(t);
        }
        for (Thread t : threads) t.join();
        if (failure.get() != null) throw new IllegalStateException(failure.get());
        return g.records;
    }

    static void member(Gathering g, int m, AtomicReference<Throwable> failure) {
        long deadline = System.currentTimeMillis() + LIMIT_MS;
        try (KafkaConsumer<byte[], byte[]> c = consumer(g.job.group)) {
            c.subscribe(List.of(g.job.topic), new ConsumerRebalanceListener() {
                @Override public void onPartitionsAssigned(Collection<TopicPartition> ps) { g.assign(m, ps); }
                @Override public void onPartitionsRevoked(Collection<TopicPartition> ps) { g.revoke(m, ps); }
            });
            while (!g.finished() && failure.get() == null) {
                if (System.currentTimeMillis() > deadline)
                    throw new IllegalStateException("timed out after " + g.seen.size() + " of " + g.job.count + " records, held " + g.held);
                ConsumerRecords<byte[], byte[]> rs = c.poll(POLL);
                for (ConsumerRecord<byte[], byte[]> r : rs) g.add(m, rec(r));
                if (!rs.isEmpty()) c.commitSync();
            }
        }
    }

    static AdminOut admin(Job job) throws Exception {
        AdminOut o = new AdminOut();
        Properties p = new Properties();
        p.put(AdminClientConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrap);
        p.put(AdminClientConfig.DEFAULT_API_TIMEOUT_MS_CONFIG, 30_000);
        try (Admin a = Admin.create(p)) {
            ConfigResource topic = new ConfigResource(ConfigResource.Type.TOPIC, job.topic == null ? "" : job.topic);
            switch (job.action) {
                case "create_topic":
                    a.createTopics(List.of(new NewTopic(job.topic, job.partitions, (short) job.replicas).configs(job.configs))).all().get(); break;
                case "list_topics": o.topics = new ArrayList<>(a.listTopics().names().get()); break;
                case "describe_topic":
                    o.partitions = a.describeTopics(List.of(job.topic)).allTopicNames().get().get(job.topic).partitions().size(); break;
                case "create_partitions": a.createPartitions(Map.of(job.topic, NewPartitions.increaseTo(job.partitions))).all().get(); break;
                case "alter_configs": {
                    List<AlterConfigOp> ops = new ArrayList<>();
                    job.configs.forEach((k, v) -> ops.add(new AlterConfigOp(new ConfigEntry(k, v), AlterConfigOp.OpType.SET)));
                    a.incrementalAlterConfigs(Map.of(topic, ops)).all().get();
                    break;
                }
                case "describe_configs": o.configs = configs(a, topic); break;
                case "describe_broker": o.configs = configs(a, new ConfigResource(ConfigResource.Type.BROKER, "1")); break;
                case "delete_topic": a.deleteTopics(List.of(job.topic)).all().get(); break;
                default: adminData(a, job, o);
            }
        }
        return o;
    }

    static Map<String, String> configs(Admin a, ConfigResource r) throws Exception {
        Map<String, String> m = new HashMap<>();
        for (ConfigEntry e : a.describeConfigs(List.of(r)).all().get().get(r).entries()) m.put(e.name(), e.value());
        return m;
    }

    static void adminData(Admin a, Job job, AdminOut o) throws Exception {
        TopicPartition first = new TopicPartition(job.topic == null ? "" : job.topic, 0);
        o.offsets = new HashMap<>();
        switch (job.action) {
            case "list_offsets": {
                Map<TopicPartition, OffsetSpec> ask = new HashMap<>();
                for (int i = 0; i < job.partitions; i++) ask.put(new TopicPartition(job.topic, i), OffsetSpec.latest());
                a.listOffsets(ask).all().get().forEach((tp, r) -> o.offsets.put("" + tp.partition(), r.offset()));
                break;
            }
            case "delete_records": a.deleteRecords(Map.of(first, RecordsToDelete.beforeOffset(job.offset))).all().get(); break;
            case "describe_log_dirs":
                for (Map<String, LogDirDescription> dirs : a.describeLogDirs(List.of(1)).allDescriptions().get().values())
                    for (LogDirDescription d : dirs.values()) {
                        if (d.error() != null) throw d.error();
                        for (ReplicaInfo i : d.replicaInfos().values()) o.bytes += i.size();
                    }
                break;
            case "list_groups":
                o.groups = new ArrayList<>();
                for (GroupListing l : a.listGroups().all().get()) o.groups.add(l.groupId());
                break;
            case "describe_group":
                o.state = a.describeConsumerGroups(List.of(job.group)).all().get().get(job.group).groupState().toString(); break;
            case "group_offsets":
                a.listConsumerGroupOffsets(job.group).partitionsToOffsetAndMetadata().get()
                    .forEach((tp, om) -> o.offsets.put("" + tp.partition(), om.offset()));
                break;
            case "alter_offsets": a.alterConsumerGroupOffsets(job.group, Map.of(first, new OffsetAndMetadata(job.offset))).all().get(); break;
            case "delete_group": a.deleteConsumerGroups(List.of(job.group)).all().get(); break;
            default: throw new IllegalArgumentException("action " + job.action);
        }
    }
}
