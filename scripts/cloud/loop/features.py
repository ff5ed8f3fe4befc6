"""Makes the training's table of what a plant sent: features.py --raw FOLDER --out FOLDER [flags]

The Glue 5.0 job of the loop (PySpark, without awsglue), which runs on any Spark 3.5. RAW has telemetry/, predictions/ and labels/,
each partitioned by line=<line>/date=<yyyy-mm-dd>/, as Firehose stores them, and by core=<core>/date=<yyyy-mm-dd>/, as cores put their
backlogs there, with gzipped lines of JSON as docs/messages.md has them. OUT gets

  train/    one CSV file with a header, .csv.gz: the sensors in the model's order, and class (neg or pos)
  holdout/  the same of other days of machines, and thing: active and new model are compared on it
  summary/  one JSON object: what was read, counted and left out

A row's class, by its thing, epoch and seq:

  confirmed alarm         pos, from the first to the last row that voted for it
  no-fault-found          neg, likewise
  planned                 left out
  no outcome              neg, where the prediction says Not Faulty and none within --guard rows says Faulty; left out otherwise:
                          nobody has judged that alarm, or nothing is known of the row

A row that comes twice counts once. Of two alarms with the row, confirmed counts before planned, planned before no-fault-found; of two
outcomes of an alarm the later one. Lines that are no message are counted, and files that cannot be unpacked are passed over.
"""

import argparse
import base64
import functools
import json
import math
import struct
import sys

from pyspark import StorageLevel
from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession, Window
from pyspark.sql import functions as F
from pyspark.sql import types as T

MAX_LINE = 1 << 20  # a batch of messages
MAX_SENSORS = 4096
LEAST_ROWS = 10  # of each class, which train.py needs
HOLDOUT_EVERY = 4  # one of so many days of machines is held out
LABELLED = ("machine-fault",)  # and limit-<sensor>; silence and missing data say nothing of a row's values
VERDICTS = {"Faulty": 1, "Not Faulty": 0, "No Data": -1}
OUTCOMES = {"confirmed": 3, "planned": 2, "no-fault-found": 1}

KEY = ["thing", "epoch", "seq"]
ROWS = T.StructType([
    T.StructField("thing", T.StringType()), T.StructField("epoch", T.StringType()), T.StructField("seq", T.LongType()),
    T.StructField("day", T.StringType()), T.StructField("values", T.ArrayType(T.FloatType())),
])
PREDICTIONS = T.StructType([*ROWS.fields[:3], T.StructField("faulty", T.IntegerType())])
LABELS = T.StructType([
    T.StructField("thing", T.StringType()), T.StructField("fault", T.StringType()), T.StructField("since", T.StringType()),
    T.StructField("ts", T.StringType()), T.StructField("rank", T.IntegerType()),
    T.StructField("first_epoch", T.StringType()), T.StructField("first_seq", T.LongType()),
    T.StructField("last_epoch", T.StringType()), T.StructField("last_seq", T.LongType()),
])


class Bad(Exception):
    """A message that is none."""


def text_of(message, name):
    value = message.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= 256:
        raise Bad(name)
    return value


def number_of(value):
    """A whole number, which a nucleus may have written as 1.0."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != int(value) or not 0 <= value < 1 << 63:
        raise Bad("seq")
    return int(value)


def float_of(value):
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or abs(value) > 3.4028234663852886e38:
        raise Bad("value")
    return float(value)


def key_of(message):
    return text_of(message, "thing"), text_of(message, "epoch"), number_of(message.get("seq"))


def values_of(message, sensors):
    """The row's values in the order of the sensors; None is a missing one."""
    if isinstance(message.get("readings"), dict):
        return [float_of(message["readings"].get(name)) for name in sensors]
    if isinstance(message.get("f32"), str):
        raw = base64.b64decode(message["f32"], validate=True)
        values = [None if math.isnan(v) else float_of(v) for v in struct.unpack(f"<{len(raw) // 4}f", raw)]
    elif isinstance(message.get("values"), list):
        values = [float_of(v) for v in message["values"]]
    else:
        raise Bad("values")
    if len(values) != len(sensors):
        raise Bad("length")
    return values


def telemetry_row(message, sensors):
    return (*key_of(message), text_of(message, "ts")[:10], values_of(message, sensors))


def watched_row(message, sensors):
    """What a prediction has of its row: a row of its own where the telemetry itself does not come."""
    watched = message.get("watched")
    values = [float_of(watched.get(name)) for name in sensors] if isinstance(watched, dict) else [None] * len(sensors)
    return (*key_of(message), text_of(message, "ts")[:10], values)


def prediction(message, _):
    label = text_of(message, "label")
    if label not in VERDICTS:
        raise Bad("label")
    return (*key_of(message), VERDICTS[label])


def label_event(message, _):
    rows, fault, rank = message.get("rows"), text_of(message, "fault"), OUTCOMES.get(text_of(message, "outcome"))
    if rank is None:
        raise Bad("outcome")
    if fault not in LABELLED and not fault.startswith("limit-"):
        return None
    if not isinstance(rows, dict) or not all(isinstance(rows.get(end), dict) for end in ("first", "last")):
        raise Bad("rows")
    ends = [(text_of(rows[end], "epoch"), number_of(rows[end].get("seq"))) for end in ("first", "last")]
    return (text_of(message, "thing"), fault, text_of(message, "since"), text_of(message, "ts"), rank, *ends[0], *ends[1])


def parsed(line, batch, read, sensors):
    """Yields ("ok", record) for each message of a line, or ("bad", None)."""
    if len(line) > MAX_LINE:
        yield "bad", None
        return
    try:
        message = json.loads(line)
        messages = message[batch] if isinstance(message, dict) and isinstance(message.get(batch), list) else [message]
    except (ValueError, RecursionError):
        yield "bad", None
        return
    for one in messages:
        try:
            if not isinstance(one, dict) or one.get("v", 1) != 1:
                raise Bad("v")
            record = read(one, sensors)
            if record is not None:
                yield "ok", record
        except (Bad, ValueError, TypeError, OverflowError, struct.error):
            yield "bad", None


class Raw:
    """What a plant sent."""

    def __init__(self, spark, folder, since, until):
        self.spark, self.folder, self.since, self.until = spark, folder.rstrip("/"), since, until
        self.counts = {}

    def lines(self, kind, by_date):
        # Spark refuses a folder with two kinds of partitions.
        parts = [lines for lines in (self.partitioned(kind, by, by_date) for by in ("line", "core")) if lines is not None]
        return functools.reduce(lambda a, b: a.unionByName(b), parts) if parts else None

    def partitioned(self, kind, by, by_date):
        try:
            lines = self.spark.read.option("basePath", f"{self.folder}/{kind}").text(f"{self.folder}/{kind}/{by}=*")
        except AnalysisException as error:
            if "PATH_NOT_FOUND" not in str(error):
                raise
            return None
        if by_date and "date" in lines.columns:
            for bound, below in ((self.since, F.col("date") >= self.since), (self.until, F.col("date") <= self.until)):
                lines = lines.where(below) if bound else lines
        return lines.select("value").where(F.length(F.trim("value")) > 0)

    def read(self, kind, batch, reader, schema, sensors=(), by_date=True, count=True):
        lines = self.lines(kind, by_date)
        if lines is None:
            return self.spark.createDataFrame([], schema)
        both = lines.rdd.flatMap(lambda row: parsed(row.value, batch, reader, sensors)).persist(StorageLevel.MEMORY_AND_DISK)
        if count:
            states = both.map(lambda pair: pair[0]).countByValue()
            self.counts[kind] = {"messages": states.get("ok", 0), "bad": states.get("bad", 0)}
        return self.spark.createDataFrame(both.filter(lambda pair: pair[0] == "ok").map(lambda pair: pair[1]), schema)


def sensors_of(args, spark, raw):
    """The sensors' names: of --sensors, or of the published manifest, or what readings name."""
    if args.sensors:
        return args.sensors.split(",")
    if args.manifest:
        try:
            envelope = "\n".join(row.value for row in spark.read.text(args.manifest).collect())
        except AnalysisException as error:
            fail(f"{args.manifest} cannot be read: {error}")
        manifest = json.loads(envelope)
        if "payload" in manifest:
            manifest = json.loads(base64.b64decode(manifest["payload"]))
        if manifest.get("inputs"):
            fail(f"{args.manifest}: the model has inputs over time, which inference-engine features makes, and this job does not")
        return manifest["features"]
    lines = raw.lines("telemetry", True)
    names = set() if lines is None else set(lines.rdd.flatMap(lambda row: names_in(row.value)).distinct().take(MAX_SENSORS + 1))
    if not names:
        fail("the sensors' names are not known: no model is published, and the telemetry has no readings; give --sensors")
    return sorted(names)


def names_in(line):
    try:
        message = json.loads(line)
        return [name for row in message.get("rows", [message]) for name in row.get("readings", {})]
    except (ValueError, AttributeError, TypeError, RecursionError):
        return []


def labelled(rows, predictions, labels, guard):
    """Adds class: 1, 0, or None for a row that is left out."""
    latest = Window.partitionBy("thing", "fault", "since").orderBy(F.desc("ts"), F.desc("rank"))
    labels = labels.withColumn("n", F.row_number().over(latest)).where("n = 1").drop("n")
    r, a = rows.select(KEY).alias("r"), labels.alias("a")
    same = (F.col("a.first_epoch") == F.col("a.last_epoch")) & (F.col("r.epoch") == F.col("a.first_epoch")) & \
        F.col("r.seq").between(F.col("a.first_seq"), F.col("a.last_seq"))
    begins = (F.col("a.first_epoch") != F.col("a.last_epoch")) & (F.col("r.epoch") == F.col("a.first_epoch")) & (F.col("r.seq") >= F.col("a.first_seq"))
    ends = (F.col("a.first_epoch") != F.col("a.last_epoch")) & (F.col("r.epoch") == F.col("a.last_epoch")) & (F.col("r.seq") <= F.col("a.last_seq"))
    judged = r.join(F.broadcast(a), (F.col("r.thing") == F.col("a.thing")) & (same | begins | ends)) \
        .groupBy(*[F.col(f"r.{name}").alias(name) for name in KEY]).agg(F.max("a.rank").alias("rank"))
    # A row without a prediction of its own has the label of the one before it: of predictions that are sampled, changes all come.
    by_seq = Window.partitionBy("thing", "epoch").orderBy("seq")
    known = rows.select(KEY).join(predictions, KEY, "full_outer") \
        .withColumn("state", F.last("faulty", ignorenulls=True).over(by_seq.rowsBetween(Window.unboundedPreceding, 0))) \
        .withColumn("near", F.max("state").over(by_seq.rangeBetween(-guard, guard))).drop("faulty")
    sound = (F.col("state") == 0) & (F.col("near") == 0)
    return rows.join(judged, KEY, "left").join(known, KEY, "left").withColumn(
        "class", F.when(F.col("rank") == OUTCOMES["confirmed"], 1).when(F.col("rank") == OUTCOMES["no-fault-found"], 0)
        .when(F.col("rank").isNull() & sound, 0)).drop("state", "near", "rank")


def divided(rows):
    """Adds holdout: one of HOLDOUT_EVERY days of machines, of those with faulty rows as of those without."""
    groups = rows.groupBy("thing", "day").agg(F.max("class").alias("faulty"))
    order = Window.partitionBy("faulty").orderBy(F.crc32(F.concat_ws("/", "thing", "day")), "thing", "day")
    groups = groups.withColumn("holdout", F.row_number().over(order) % HOLDOUT_EVERY == 0).drop("faulty")
    return rows.join(groups, ["thing", "day"])


def base_rows(spark, path, sensors):
    """Rows of an earlier training's table, each a machine of its own."""
    table = spark.read.option("header", True).csv(path)
    missing = [name for name in ["class", *sensors] if name not in table.columns]
    if missing:
        fail(f"{path} has no column {missing[0]!r}")
    word = F.lower(F.trim(F.col("class")))
    values = F.array(*[F.col(f"`{name}`").cast("float") for name in sensors])
    text = F.concat_ws(",", *[F.col(f"`{name}`") for name in sensors])
    return table.select(
        F.concat(F.lit("base-"), F.hex(F.xxhash64(text))).alias("thing"), F.lit("0").alias("epoch"), F.lit(0).cast("long").alias("seq"),
        F.lit("base").alias("day"), values.alias("values"),
        F.when(word.isin("pos", "1", "1.0", "true"), 1).when(word.isin("neg", "0", "0.0", "false"), 0).alias("class"))


def write(rows, folder, sensors, *more):
    """Writes one CSV file, with more columns before the sensors; equal rows give equal bytes."""
    columns = [F.when(F.isnan(F.col("values")[i]), None).otherwise(F.col("values")[i]).alias(name) for i, name in enumerate(sensors)]
    rows.coalesce(1).sortWithinPartitions(*KEY).select(*more, *columns, F.when(F.col("class") == 1, "pos").otherwise("neg").alias("class")) \
        .write.mode("overwrite").option("header", True).option("compression", "gzip").option("emptyValue", "").csv(folder)


def counted(rows):
    counts = {row["class"]: row["count"] for row in rows.groupBy("class").count().collect()}
    return {"neg": counts.get(0, 0), "pos": counts.get(1, 0)}


def fail(message):
    sys.exit(f"features: {message}")


def main():
    parser = argparse.ArgumentParser(description="Makes the training's table of what a plant sent.")
    parser.add_argument("--raw", required=True, help="folder or s3 URI with telemetry/, predictions/ and labels/")
    parser.add_argument("--out", required=True, help="folder or s3 URI for train/, holdout/ and summary/")
    parser.add_argument("--manifest", default="", help="the published manifest, which names the sensors")
    parser.add_argument("--sensors", default="", help="the sensors' names in the order of values, with commas between them")
    parser.add_argument("--base", default="", help="table of an earlier training, whose rows are added to train/")
    parser.add_argument("--from", dest="since", default="", help="first day of the rows, yyyy-mm-dd")
    parser.add_argument("--until", default="", help="last day of the rows")
    parser.add_argument("--guard", type=int, default=20, help="rows around a faulty one that are left out")
    args, _ = parser.parse_known_args()  # Glue adds flags of its own
    # Step Functions cannot leave a flag out: "-" is nothing.
    for name, value in vars(args).items():
        if value == "-":
            setattr(args, name, "")

    spark = SparkSession.builder.appName("edgepdm-features").config("spark.sql.files.ignoreCorruptFiles", True) \
        .config("spark.sql.session.timeZone", "UTC").config("spark.sql.sources.partitionColumnTypeInference.enabled", False).getOrCreate()
    raw = Raw(spark, args.raw, args.since, args.until)
    sensors = sensors_of(args, spark, raw)
    if not 0 < len(sensors) <= MAX_SENSORS or len(set(sensors)) < len(sensors) or {"thing", "class"} & set(sensors):
        fail(f"{len(sensors)} sensors, a name twice, or one called thing or class")

    telemetry = raw.read("telemetry", "rows", telemetry_row, ROWS, sensors).dropDuplicates(KEY)
    predictions = raw.read("predictions", "predictions", prediction, PREDICTIONS).dropDuplicates(KEY).persist()
    watched = raw.read("predictions", "predictions", watched_row, ROWS, sensors, count=False).where(F.exists("values", lambda v: v.isNotNull())) \
        .dropDuplicates(KEY)
    labels = raw.read("labels", "labels", label_event, LABELS, by_date=False)
    # The telemetry of a row is more than what its prediction has of it.
    first = Window.partitionBy(KEY).orderBy("source")
    rows = telemetry.withColumn("source", F.lit(0)).unionByName(watched.withColumn("source", F.lit(1))) \
        .withColumn("n", F.row_number().over(first)).where("n = 1").drop("n").persist(StorageLevel.MEMORY_AND_DISK)
    of = {row["source"]: row["count"] for row in rows.groupBy("source").count().collect()}
    rows = rows.drop("source")
    known = labelled(rows, predictions, labels, args.guard).persist(StorageLevel.MEMORY_AND_DISK)
    outcomes = {row["class"]: row["count"] for row in known.groupBy("class").count().collect()}
    usable = divided(known.where(F.col("class").isNotNull()))
    base = {"neg": 0, "pos": 0}
    if args.base:
        more = base_rows(spark, args.base, sensors).where(F.col("class").isNotNull())
        base = counted(more)
        # The active model may have been trained with them: they are nothing to compare on.
        usable = usable.unionByName(more.withColumn("holdout", F.lit(False)))
    usable = usable.persist(StorageLevel.MEMORY_AND_DISK)
    parts = {"train": usable.where(~F.col("holdout")), "holdout": usable.where("holdout")}
    counts = {name: {"neg": 0, "pos": 0} for name in parts}
    for row in usable.groupBy("holdout", "class").count().collect():
        counts["holdout" if row["holdout"] else "train"]["pos" if row["class"] else "neg"] = row["count"]
    summary = {
        "sensors": len(sensors), "read": raw.counts, "rows": sum(outcomes.values()), "left_out": outcomes.get(None, 0),
        "duplicates": raw.counts.get("telemetry", {}).get("messages", 0) - of.get(0, 0), "of_predictions": of.get(1, 0),
        "outcomes": raw.counts.get("labels", {}).get("messages", 0), "base": base, **counts,
    }
    print("features: " + json.dumps(summary), flush=True)
    for part, least in (("train", LEAST_ROWS), ("holdout", 1)):
        for word, n in counts[part].items():
            if n < least:
                fail(f"the table has {n} rows of class {word} for {part}, and needs {least}: acknowledge alarms with their outcome, "
                     "or add an earlier table with --base")
    out = args.out.rstrip("/")
    write(parts["train"], f"{out}/train", sensors)
    write(parts["holdout"], f"{out}/holdout", sensors, "thing")
    spark.createDataFrame([(json.dumps(summary),)], ["value"]).coalesce(1).write.mode("overwrite").text(f"{out}/summary")


if __name__ == "__main__":
    main()
