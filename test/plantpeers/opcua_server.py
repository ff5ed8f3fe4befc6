"""An OPC UA server (asyncua) for tests. Arguments: port, and for security the server's certificate and key.

It has Press1 with Oil.Temp (double), Speed (int32), Runs (boolean), Text (string) and, with "many N", N doubles. Lines of standard input:
"set NAME VALUE", "bad NAME", "delete NAME", "add NAME", "many N", "tick N" (changes N of the many). Users are nobody, and edgepdm with the
password secret.
"""
import asyncio
import sys

from asyncua import Server, ua
from asyncua.server.user_managers import User, UserRole

INITIAL = {"Oil.Temp": (70.5, ua.VariantType.Double), "Speed": (1480, ua.VariantType.Int32), "Runs": (True, ua.VariantType.Boolean), "Text": ("on", ua.VariantType.String)}


class Users:
    def get_user(self, iserver, username=None, password=None, certificate=None):
        return User(role=UserRole.User) if (username, password) in [(None, None), ("edgepdm", "secret")] else None


async def main():
    server = Server(user_manager=Users())
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{sys.argv[1]}")
    if len(sys.argv) > 3:
        await server.load_certificate(sys.argv[2])
        await server.load_private_key(sys.argv[3])
        server.set_security_policy([ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt])
    else:
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    space = await server.register_namespace("urn:edgepdm:test")
    press = await server.nodes.objects.add_object(ua.NodeId("Press1", space), "Press1")
    nodes, many, ticks = {}, [], 0

    async def add(name):
        value, kind = INITIAL[name]
        nodes[name] = await press.add_variable(ua.NodeId(name, space), name, value, kind)

    for name in INITIAL:
        await add(name)
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with server:
        print("ready", flush=True)
        while words := (await reader.readline()).decode().split():
            match words:
                case ["set", name, value]:
                    kind = INITIAL[name][1]
                    python = {"true": True, "false": False}.get(value) if kind == ua.VariantType.Boolean else int(value) if kind == ua.VariantType.Int32 else float(value)
                    await nodes[name].write_value(ua.DataValue(ua.Variant(python, kind)))
                case ["bad", name]:
                    await nodes[name].write_value(ua.DataValue(ua.Variant(0.0, INITIAL[name][1]), ua.StatusCode(ua.StatusCodes.BadSensorFailure)))
                case ["delete", name]:
                    await server.delete_nodes([nodes[name]])
                case ["add", name]:
                    await add(name)
                case ["many", n]:
                    many = [await press.add_variable(ua.NodeId(f"Many{i}", space), f"Many{i}", 0.0) for i in range(int(n))]
                case ["tick", n]:
                    ticks += 1
                    for i, node in enumerate(many[: int(n)]):
                        await node.write_value(float(i + ticks))
            print("done", flush=True)


asyncio.run(main())
