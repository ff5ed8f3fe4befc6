"""The benchmark's client with the official Python SDK. See ipc_test.go for what it takes and prints."""
import collections
import json
import os
import re
import resource
import sys
import threading
import time

from awsiot.greengrasscoreipc.clientv2 import GreengrassCoreIPCClientV2
from awsiot.greengrasscoreipc.model import BinaryMessage, PublishMessage

size, count, in_flight = map(int, sys.argv[1:])
topic = f"bench/{os.getpid()}"
message = PublishMessage(binary_message=BinaryMessage(message=b"x" * size))
arrived = threading.Semaphore(0)


def on_event(event):
    if len(event.binary_message.message) != size:
        print("an event of another size", file=sys.stderr)
        os._exit(1)
    arrived.release()


def run(n):
    """Sends n messages and returns their latencies. A message is done when its response and its event have come."""
    under_way, latencies = collections.deque(), []

    def finish():
        began, response = under_way.popleft()
        response.result()
        arrived.acquire()
        latencies.append((time.perf_counter() - began) * 1e6)

    for _ in range(n):
        if len(under_way) == in_flight:
            finish()
        began = time.perf_counter()
        under_way.append((began, client.publish_to_topic_async(topic=topic, publish_message=message)))
    while under_way:
        finish()
    return latencies


def processor_time():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


# Without an executor its callbacks run on the SDK's own thread, which is its fastest way.
client = GreengrassCoreIPCClientV2(executor=None)
client.subscribe_to_topic(topic=topic, on_stream_event=on_event)
run(-(-count // 5))  # warm up
used, begin = processor_time(), time.perf_counter()
latencies = run(count)
seconds, used = time.perf_counter() - begin, processor_time() - used
latencies.sort()
with open("/proc/self/status", encoding="ascii") as status:
    peak = int(re.search(r"VmHWM:\s*(\d+)", status.read()).group(1))
print(json.dumps({
    "seconds": seconds,
    "p50_us": latencies[count // 2],
    "p99_us": latencies[count * 99 // 100],
    "cpu_us": used * 1e6 / count,
    "rss_kib": peak,
}))
client.close()
