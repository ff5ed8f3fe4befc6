"""Exchanges messages with two other parties: exchange.py NAME MESSAGES_FILE OTHERS. Says "ready" when it is subscribed,
publishes every message of the file when a line comes on its standard input, and prints what it received from the others as
JSON by topic. See exchange_test.go."""
import base64
import json
import sys
import threading

from awsiot.greengrasscoreipc.clientv2 import GreengrassCoreIPCClientV2
from awsiot.greengrasscoreipc.model import BinaryMessage, JsonMessage, PublishMessage, ReceiveMode

name, file, others = sys.argv[1:]
with open(file, encoding="utf-8") as f:
    messages = json.load(f)
received, complete = {}, threading.Event()


def on_event(event):
    topic = (event.json_message or event.binary_message).context.topic
    if topic.startswith(f"exchange/{name}/"):
        return
    if event.json_message:
        received[topic] = {"json": event.json_message.message}
    else:
        received[topic] = {"binary": base64.b64encode(event.binary_message.message).decode()}
    if len(received) == len(messages) * int(others):
        complete.set()


client = GreengrassCoreIPCClientV2(executor=None)
client.subscribe_to_topic(topic="exchange/#", receive_mode=ReceiveMode.RECEIVE_ALL_MESSAGES, on_stream_event=on_event)
print("ready", flush=True)
sys.stdin.readline()
for i, message in enumerate(messages):
    if "json" in message:
        publish = PublishMessage(json_message=JsonMessage(message=message["json"]))
    else:
        publish = PublishMessage(binary_message=BinaryMessage(message=base64.b64decode(message["binary"])))
    client.publish_to_topic(topic=f"exchange/{name}/{i}", publish_message=publish)
if not complete.wait(30):
    sys.exit(f"only {len(received)} messages came")
print(json.dumps(received), flush=True)
client.close()
