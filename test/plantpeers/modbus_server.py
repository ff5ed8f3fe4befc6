"""A Modbus TCP server (pymodbus) with unit 1 for tests. Arguments: port, and how many registers exist in each table (200).

Each line of standard input sets values: "holding 40 1 2 3" from address 40 on; also input, coil, discrete.
"""
import asyncio
import logging
import sys

from pymodbus.datastore import ModbusDeviceContext, ModbusSequentialDataBlock, ModbusServerContext
from pymodbus.server import ModbusTcpServer

logging.disable(logging.WARNING)  # pymodbus announces its next version
CODES = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}


def block():
    return ModbusSequentialDataBlock(1, [0] * (int(sys.argv[2]) if len(sys.argv) > 2 else 200))


async def commands(server):
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    print("ready", flush=True)
    while line := (await reader.readline()).decode().split():
        await server.async_setValues(1, CODES[line[0]], int(line[1]), [int(x) for x in line[2:]])
        print("done", flush=True)


async def main():
    device = ModbusDeviceContext(di=block(), co=block(), hr=block(), ir=block())
    server = ModbusTcpServer(ModbusServerContext({1: device}), address=("127.0.0.1", int(sys.argv[1])))
    await server.serve_forever(background=True)
    await commands(server)
    await server.shutdown()


asyncio.run(main())
