import json, secrets, time
from datetime import datetime, timezone

from awsiot.greengrasscoreipc.clientv2 import GreengrassCoreIPCClientV2
from awsiot.greengrasscoreipc.model import BinaryMessage, PublishMessage

ipc, epoch, seq = GreengrassCoreIPCClientV2(), secrets.token_hex(4), 0
while True:
    seq += 1
    row = {"v": 1, "thing": "press-1", "line": "line-7", "epoch": epoch, "seq": seq,
           "ts": datetime.now(timezone.utc).isoformat(), "readings": {"oil_temp": 71.5, "vibration": 2.3}}
    ipc.publish_to_topic(topic="pdm/v1/telemetry/press-1", publish_message=PublishMessage(
        binary_message=BinaryMessage(message=json.dumps(row).encode())))
    time.sleep(1)
