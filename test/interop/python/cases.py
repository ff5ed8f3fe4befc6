"""Uses the core as a component with the official Python client would, and prints a line of JSON for each case: what it saw,
or the error as the client decoded it. interop_test.go knows what is right. The cases are those of ../js/cases.js."""
import base64
import datetime
import json
import math
import os
import queue
import sys
import time

import awsiot.greengrasscoreipc
from awsiot.greengrasscoreipc import model
from awsiot.greengrasscoreipc.clientv2 import GreengrassCoreIPCClientV2

PATIENCE = 10  # seconds
thing = os.environ["AWS_IOT_THING_NAME"]
wanted = sys.argv[1:]  # names of cases; none means all
client = GreengrassCoreIPCClientV2(executor=None)
cases = {}


def case(name):
    def register(run):
        cases[name] = run
        return run
    return register


def encode(data):
    return base64.b64encode(data).decode()


def json_message(value):
    return model.PublishMessage(json_message=model.JsonMessage(message=value))


def binary_message(data):
    return model.PublishMessage(binary_message=model.BinaryMessage(message=data))


def publish(topic, message):
    client.publish_to_topic(topic=topic, publish_message=message)


def attempt(call, *args, **kwargs):
    """Returns what a call was answered, or how it failed: the class that the client decoded the error as."""
    try:
        call(*args, **kwargs)
        return {}
    except Exception as err:  # the clients' errors have no common class
        return {"error": type(err).__name__}


class Stream:
    """A streaming operation and the events that wait."""

    def __init__(self, subscribe, **request):
        self.events = queue.Queue()
        _, self.operation = subscribe(on_stream_event=self.events.put, **request)

    def next(self):
        return self.events.get(timeout=PATIENCE)

    def close(self):
        self.operation.close()


def subscribe(topic, mode=None):
    return Stream(client.subscribe_to_topic, topic=topic, receive_mode=mode)


def echo(topic, message):
    subscription = subscribe(topic)
    publish(topic, message)
    event = subscription.next()
    subscription.close()
    if event.json_message:
        return {"topic": event.json_message.context.topic, "json": event.json_message.message}
    return {"topic": event.binary_message.context.topic, "binary": encode(event.binary_message.message)}


ticks = iter(range(1, 1000))


def later(whole):
    """Returns a time that is after every value's so far."""
    at = math.ceil(time.time() + next(ticks)) + (0 if whole else 0.5)
    return datetime.datetime.fromtimestamp(at, tz=datetime.timezone.utc)


@case("refused")
def _():
    answer = attempt(awsiot.greengrasscoreipc.connect, authtoken="AAAAAAAAAAAAAAAA", timeout=PATIENCE)
    return {"refused": "error" in answer}  # which error depends on who closes the socket first


@case("publish json")
def _():
    return echo("interop/json", json_message({"text": 'Grüße, 世界 🚀 "\\\n', "whole": 42, "ratio": 1.5,
                                              "list": [1, "two", True], "object": {"a": "b"}}))


@case("publish binary")
def _():
    return echo("interop/binary", binary_message(bytes(range(256))))


@case("publish empty binary")
def _():
    return echo("interop/empty", binary_message(b""))


@case("publish 7000 bytes")
def _():
    return {"length": len(base64.b64decode(echo("interop/large", binary_message(b"x" * 7000))["binary"]))}


@case("subscribe wildcard")
def _():
    subscription = subscribe("interop/+/x", model.ReceiveMode.RECEIVE_ALL_MESSAGES)
    for topic in ("interop/a/x", "interop/b/y", "interop/c/x"):
        publish(topic, json_message({}))
    topics = [subscription.next().json_message.context.topic for _ in range(2)]
    subscription.close()
    return topics


@case("receive from others")
def _():
    others = subscribe("interop/mode", model.ReceiveMode.RECEIVE_MESSAGES_FROM_OTHERS)
    everything = subscribe("interop/mode", model.ReceiveMode.RECEIVE_ALL_MESSAGES)
    publish("interop/mode", json_message({}))
    everything.next()  # the core delivers in the order of subscriptions
    seen = others.events.qsize()
    others.close()
    everything.close()
    return {"own": seen}


@case("close subscription")
def _():
    closed, stays = subscribe("interop/close"), subscribe("interop/close")
    publish("interop/close", json_message({"n": 1}))
    closed.next()
    stays.next()
    closed.close()
    publish("interop/close", json_message({"n": 2}))
    second = stays.next().json_message.message
    stays.close()
    return {"second": second, "afterClose": closed.events.qsize()}


@case("topic with wildcard")
def _():
    return attempt(publish, "interop/#", json_message({}))


@case("publish unauthorized")
def _():
    return attempt(publish, "elsewhere", json_message({}))


@case("subscribe unauthorized")
def _():
    return attempt(subscribe, "elsewhere")


@case("iot core")
def _():
    subscription = Stream(client.subscribe_to_iot_core, topic_name="interop/cloud/+", qos=model.QOS.AT_LEAST_ONCE)
    client.publish_to_iot_core(topic_name="interop/cloud/1", qos=model.QOS.AT_LEAST_ONCE, payload=bytes([0, 1, 254, 255]))
    message = subscription.next().message
    subscription.close()
    return {"topic": message.topic_name, "payload": encode(message.payload)}


@case("iot core properties")
def _():
    subscription = Stream(client.subscribe_to_iot_core, topic_name="interop/properties", qos=model.QOS.AT_MOST_ONCE)
    client.publish_to_iot_core(
        topic_name="interop/properties", qos=model.QOS.AT_MOST_ONCE, payload=b"x",
        user_properties=[model.UserProperty(key="a", value="b")], response_topic="interop/answer", correlation_data=b"id")
    message = subscription.next().message
    subscription.close()
    return {"user": [{"key": p.key, "value": p.value} for p in message.user_properties or []],
            "responseTopic": message.response_topic or "", "correlation": encode(message.correlation_data or b"")}


@case("iot core unauthorized")
def _():
    return attempt(client.publish_to_iot_core, topic_name="elsewhere", qos=model.QOS.AT_LEAST_ONCE, payload=b"x")


def configuration(*key_path):
    return client.get_configuration(key_path=list(key_path)).value


@case("get configuration")
def _():
    return {"map": configuration("settings"), "leaf": configuration("text"), "list": configuration("list"),
            "deep": configuration("settings", "limit")}


@case("get configuration of another")
def _():
    response = client.get_configuration(component_name="com.edgepdm.Other", key_path=["x"])
    return {"componentName": response.component_name, "value": response.value}


@case("get configuration missing")
def _():
    return attempt(configuration, "none")


@case("update configuration")
def _():
    subscription = Stream(client.subscribe_to_configuration_update, key_path=["settings"])
    client.update_configuration(key_path=["settings"], value_to_merge={"limit": 9}, timestamp=later(False))
    event = subscription.next().configuration_update_event
    subscription.close()
    return {"component": event.component_name, "keyPath": event.key_path, "value": configuration("settings", "limit")}


@case("update configuration at a whole second")
def _():
    return attempt(client.update_configuration, key_path=["settings"], value_to_merge={"second": 1}, timestamp=later(True))


@case("update configuration of the past")
def _():
    past = datetime.datetime.fromtimestamp(1.5, tz=datetime.timezone.utc)
    answer = attempt(client.update_configuration, key_path=["settings"], value_to_merge={"name": "past"}, timestamp=past)
    return {"answer": answer, "value": configuration("settings", "name")}


@case("update configuration, an object onto a leaf")
def _():
    return attempt(client.update_configuration, key_path=["text"], value_to_merge={"x": 1}, timestamp=later(False))


@case("subscribe to missing configuration")
def _():
    return attempt(Stream, client.subscribe_to_configuration_update, key_path=["none"])


@case("update state")
def _():
    return attempt(client.update_state, state=model.ReportedLifecycleState.RUNNING)


@case("shadow")
def _():
    name = {"thing_name": thing, "shadow_name": "interop-python"}

    def update(document):
        return client.update_thing_shadow(payload=json.dumps(document), **name)

    missing = attempt(client.get_thing_shadow, **name)
    if missing.get("error") != "ResourceNotFoundError":
        return [missing["error"], attempt(update, {"state": {}})["error"],
                attempt(client.list_named_shadows_for_thing, thing_name=thing)["error"],
                attempt(client.delete_thing_shadow, **name)["error"]]
    accepted = subscribe(f"$aws/things/{thing}/shadow/name/interop-python/update/accepted")
    updated = json.loads(update({"state": {"desired": {"speed": 5}, "reported": {"speed": 4}}}).payload)
    event = json.loads(accepted.next().binary_message.message)
    accepted.close()
    got = json.loads(client.get_thing_shadow(**name).payload)
    conflict = attempt(update, {"state": {"desired": {"speed": 6}}, "version": 7})
    invalid = attempt(update, {"state": 5})
    results = client.list_named_shadows_for_thing(thing_name=thing).results
    client.delete_thing_shadow(**name)

    def short(document):
        return {"state": document["state"], "version": document["version"]}

    return {"updated": short(updated), "event": short(event), "got": short(got), "conflict": conflict, "invalid": invalid,
            "listed": "interop-python" in results, "deleted": attempt(client.get_thing_shadow, **name)}


@case("shadow unauthorized")
def _():
    return attempt(client.get_thing_shadow, thing_name="another")


@case("validation of configurations")
def _():
    report = model.ConfigurationValidityReport(status="ACCEPTED", deployment_id="x")  # no deployment has asked for it
    return {"subscribed": attempt(lambda: Stream(client.subscribe_to_validate_configuration_updates).close()),
            "report": attempt(client.send_configuration_validity_report, configuration_validity_report=report)}


@case("operations without a provider")
def _():
    other, deployment = "com.edgepdm.Other", "3a1b7c52-0d5e-4a52-9f06-5e0c1c6f2a11"
    mqtt = model.CredentialDocument(mqtt_credential=model.MQTTCredential(client_id="x"))
    certificate = model.ClientDeviceCredential(client_device_certificate="x")
    calls = {
        "AuthorizeClientDeviceAction": lambda: client.authorize_client_device_action(
            client_device_auth_token="x", operation="x", resource="x"),
        "CancelLocalDeployment": lambda: client.cancel_local_deployment(deployment_id=deployment),
        "CreateDebugPassword": client.create_debug_password,
        "CreateLocalDeployment": lambda: client.create_local_deployment(root_component_versions_to_add={other: "1.0.0"}),
        "DeferComponentUpdate": lambda: client.defer_component_update(deployment_id=deployment),
        "GetClientDeviceAuthToken": lambda: client.get_client_device_auth_token(credential=mqtt),
        "GetComponentDetails": lambda: client.get_component_details(component_name=other),
        "GetLocalDeploymentStatus": lambda: client.get_local_deployment_status(deployment_id=deployment),
        "GetSecretValue": lambda: client.get_secret_value(secret_id="x"),
        "ListComponents": client.list_components,
        "ListLocalDeployments": client.list_local_deployments,
        "PauseComponent": lambda: client.pause_component(component_name=other),
        "PutComponentMetric": lambda: client.put_component_metric(
            metrics=[model.Metric(name="x", unit=model.MetricUnitType.COUNT, value=1.0)]),
        "RestartComponent": lambda: client.restart_component(component_name=other),
        "ResumeComponent": lambda: client.resume_component(component_name=other),
        "StopComponent": lambda: client.stop_component(component_name=other),
        "SubscribeToCertificateUpdates": lambda: Stream(
            client.subscribe_to_certificate_updates, certificate_options=model.CertificateOptions(certificate_type="SERVER")),
        "SubscribeToComponentUpdates": lambda: Stream(client.subscribe_to_component_updates),
        "ValidateAuthorizationToken": lambda: client.validate_authorization_token(token="x"),
        "VerifyClientDeviceIdentity": lambda: client.verify_client_device_identity(credential=certificate),
    }
    return {operation: attempt(call) for operation, call in calls.items()}


for name, run in cases.items():
    if wanted and name not in wanted:
        continue
    try:
        seen = run()
    except Exception as err:  # as in attempt
        seen = {"error": type(err).__name__, "text": str(err)}
    print(json.dumps({"case": name, "seen": seen}), flush=True)
client.close()
