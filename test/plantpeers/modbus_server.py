"""A Modbus TCP server (pymodbus) for tests. Arguments: port. Registers 0 to 199 exist in each table.

Each line of standard input sets values: "holding 40 1 2 3" from address 40 on; also input, coil, discrete.
"""
import asyncio
import sys

from pymodbus.datastore import ModbusDeviceContext, ModbusSequentialDataBlock, ModbusServerContext
from pymodbus.server import StartAsyncTcpServer

CODES = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}


def block():
    return ModbusSequentialDataBlock(1, [0] * 200)


async def commands(device):
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    print("ready", flush=True)
    while line := (await reader.readline()).decode().split():
        device.setValues(CODES[line[0]], int(line[1]), [int(x) for x in line[2:]])
        print("done", flush=True)


async def main():
    port = int(sys.argv[1])
    device = ModbusDeviceContext(di=block(), co=block(), hr=block(), ir=block())
    server = asyncio.create_task(StartAsyncTcpServer(ModbusServerContext(device, single=True), address=("127.0.0.1", port)))
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            break
        except OSError:
            await asyncio.sleep(0.02)
    writer.close()
    await commands(device)
    server.cancel()


asyncio.run(main())
