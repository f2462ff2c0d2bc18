"""Stands in for Modal's control plane: what its client asks to run an app and to call a function, and what a container asks.

    python modal_stand_in.py          # prints the address for MODAL_SERVER_URL, and one line per request; ends with its stdin

Client and container are Modal's own: the package `modal`, and its container entrypoint as a process of this machine. The part
between them is simulated: images are not built (the container has the Python of this script), and a container is a process
with namespaces of its own. It has the uploaded files at /root and /srv, the variables of its secrets alone, and no network but
the socket of this control plane. Needs root or user namespaces.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import grpclib
from google.protobuf.empty_pb2 import Empty
from grpclib.server import Server, Stream
from modal_proto import api_grpc, api_pb2

#: Longest answer to a question that waits, in seconds.
LONG_POLL_S = 10.0
#: An unchecked token: header, claims with an end in a hundred years, signature.
TOKEN = "e30.eyJleHAiOjQ4OTEzNjMyMDB9.e30"
#: Ends the log of an app.
APP_DONE = ""
BUILT = api_pb2.GenericResult(status=api_pb2.GenericResult.GENERIC_STATUS_SUCCESS)


class ControlPlane(api_grpc.ModalClientBase):
    """One app of one workspace. A method that is missing here answers UNIMPLEMENTED, and its name is printed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[str, bytes] = {}
        self.mounts: dict[str, Any] = {}
        self.secrets: dict[str, dict[str, str]] = {}
        self.functions: dict[str, Any] = {}
        self.inputs: asyncio.Queue[Any] = asyncio.Queue()
        self.outputs: dict[str, asyncio.Future[Any]] = {}
        self.input_of: dict[str, str] = {}
        self.queues: dict[tuple[str, bytes], asyncio.Queue[bytes]] = defaultdict(asyncio.Queue)
        self.logs: asyncio.Queue[str] = asyncio.Queue()
        self.container: asyncio.subprocess.Process | None = None
        self.ids = 0

    def _id(self, kind: str) -> str:
        self.ids += 1
        return f"{kind}-{self.ids:022}"

    # Requests of the client that runs an app, in this order.

    async def ClientHello(self, _: Any) -> Any:
        return api_pb2.ClientHelloResponse()

    async def AuthTokenGet(self, _: Any) -> Any:
        return api_pb2.AuthTokenGetResponse(token=TOKEN)

    async def AppCreate(self, _: Any) -> Any:
        return api_pb2.AppCreateResponse(app_id=self._id("ap"), app_page_url="https://modal.invalid/app")

    async def EnvironmentGetOrCreate(self, _: Any) -> Any:
        settings = api_pb2.EnvironmentSettings(image_builder_version="2025.06", webhook_suffix="")
        metadata = api_pb2.EnvironmentMetadata(name="main", settings=settings)
        return api_pb2.EnvironmentGetOrCreateResponse(environment_id=self._id("en"), metadata=metadata)

    async def AppHeartbeat(self, _: Any) -> Any:
        return Empty()

    async def SecretGetOrCreate(self, asked: Any) -> Any:
        secret_id = self._id("st")
        self.secrets[secret_id] = dict(asked.env_dict)
        return api_pb2.SecretGetOrCreateResponse(secret_id=secret_id)

    async def MountBatchedCheckExistence(self, asked: Any) -> Any:
        missing = [name for name in asked.sha256_hex_hashes if name not in self.files]
        return api_pb2.MountBatchedCheckExistenceResponse(missing_sha256_hex_hashes=missing)

    async def MountPutFile(self, asked: Any) -> Any:
        if asked.data or asked.sha256_hex == hashlib.sha256(b"").hexdigest():
            self.files[asked.sha256_hex] = asked.data
        return api_pb2.MountPutFileResponse(exists=asked.sha256_hex in self.files)

    async def MountGetOrCreate(self, asked: Any) -> Any:
        mount_id = self._id("mo")
        self.mounts[mount_id] = list(asked.files)
        return api_pb2.MountGetOrCreateResponse(mount_id=mount_id)

    async def ImageGetOrCreate(self, asked: Any) -> Any:
        for command in asked.image.dockerfile_commands:
            print(f"  image: {command}", flush=True)
        return api_pb2.ImageGetOrCreateResponse(image_id=self._id("im"), result=BUILT, metadata=api_pb2.ImageMetadata())

    async def FunctionPrecreate(self, asked: Any) -> Any:
        metadata = api_pb2.FunctionHandleMetadata(function_name=asked.function_name, function_type=asked.function_type)
        return api_pb2.FunctionPrecreateResponse(function_id=self._id("fu"), handle_metadata=metadata)

    async def FunctionCreate(self, asked: Any) -> Any:
        function = asked.function
        metadata = api_pb2.FunctionHandleMetadata(function_name=function.function_name, is_method=False)
        self.functions[asked.existing_function_id] = (asked.app_id, function, metadata)
        ranked = api_pb2.FunctionData(ranked_functions=[api_pb2.FunctionData.RankedFunction(function=function)])
        return api_pb2.FunctionCreateResponse(
            function_id=asked.existing_function_id, function=function, function_data=ranked, handle_metadata=metadata
        )

    async def AppPublish(self, _: Any) -> Any:
        return api_pb2.AppPublishResponse(url="https://modal.invalid/app")

    async def QueueGetOrCreate(self, _: Any) -> Any:
        return api_pb2.QueueGetOrCreateResponse(queue_id=self._id("qu"))

    async def QueueHeartbeat(self, _: Any) -> Any:
        return Empty()

    async def AppClientDisconnect(self, _: Any) -> Any:
        await self.end()
        self.logs.put_nowait(APP_DONE)
        return Empty()

    # Logs of the app, as they come.

    async def AppGetLogs(self, stream: Stream[Any, Any]) -> None:
        asked = await stream.recv_message()
        assert asked is not None
        while (text := await _within(asked.timeout, self.logs.get())) is not None:
            if text == APP_DONE:
                return await stream.send_message(api_pb2.TaskLogsBatch(app_done=True))
            item = api_pb2.TaskLogs(data=text, file_descriptor=api_pb2.FILE_DESCRIPTOR_STDOUT)
            await stream.send_message(api_pb2.TaskLogsBatch(items=[item], entry_id=str(time.time())))

    # Calls of a function: the client's side and the container's.

    async def FunctionMap(self, asked: Any) -> Any:
        call_id = self._id("fc")
        answers = []
        for item in asked.pipelined_inputs:
            input_id = self._id("in")
            self.input_of[call_id] = input_id
            self.outputs[input_id] = asyncio.get_running_loop().create_future()
            self.inputs.put_nowait(
                api_pb2.FunctionGetInputsItem(input_id=input_id, input=item.input, function_call_id=call_id)
            )
            answers.append(api_pb2.FunctionPutInputsResponseItem(idx=item.idx, input_id=input_id))
        if self.container is None or self.container.returncode is not None:
            await self._start_container(asked.function_id)
        return api_pb2.FunctionMapResponse(function_call_id=call_id, pipelined_inputs=answers)

    async def FunctionGetOutputs(self, asked: Any) -> Any:
        output = self.outputs[self.input_of[asked.function_call_id]]
        done = await _within(asked.timeout, asyncio.shield(output))
        return api_pb2.FunctionGetOutputsResponse(outputs=[done] if done else [], last_entry_id="1-0")

    async def ContainerHello(self, _: Any) -> Any:
        return Empty()

    async def ContainerHeartbeat(self, _: Any) -> Any:
        return api_pb2.ContainerHeartbeatResponse()

    async def FunctionGetInputs(self, _: Any) -> Any:
        item = await _within(LONG_POLL_S, self.inputs.get())
        return api_pb2.FunctionGetInputsResponse(inputs=[item] if item else [])

    async def FunctionPutOutputs(self, asked: Any) -> Any:
        for item in asked.outputs:
            self.outputs[item.input_id].set_result(
                api_pb2.FunctionGetOutputsItem(
                    result=item.result, input_id=item.input_id, data_format=item.data_format, idx=item.function_map_idx
                )
            )
        return Empty()

    async def TaskResult(self, _: Any) -> Any:
        return Empty()

    async def QueuePut(self, asked: Any) -> Any:
        for value in asked.values:
            self.queues[asked.queue_id, asked.partition_key].put_nowait(value)
        return Empty()

    async def QueueGet(self, asked: Any) -> Any:
        value = await _within(asked.timeout, self.queues[asked.queue_id, asked.partition_key].get())
        return api_pb2.QueueGetResponse(values=[] if value is None else [value])

    # Containers.

    async def _start_container(self, function_id: str) -> None:
        app_id, function, metadata = self.functions[function_id]
        place = Path(tempfile.mkdtemp(dir=self.folder))
        for mount_id in function.mount_ids:
            for file in self.mounts[mount_id]:
                target = place / file.filename.lstrip("/")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(self.files[file.sha256_hex])
        objects = [api_pb2.Object(object_id=each.object_id) for each in function.object_dependencies]
        objects.append(api_pb2.Object(object_id=function_id, function_handle_metadata=metadata))
        layout = api_pb2.AppLayout(objects=objects, function_ids={function.function_name: function_id})
        arguments = api_pb2.ContainerArguments(
            task_id=self._id("ta"), function_id=function_id, app_id=app_id, function_def=function, app_layout=layout
        )
        (place / "arguments").write_bytes(arguments.SerializeToString())
        secrets = {name: value for each in function.secret_ids for name, value in self.secrets[each].items()}
        (place / "variables").write_text(json.dumps(sorted(secrets)))
        self.container = await asyncio.create_subprocess_exec(
            *("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child"),
            *(() if os.getuid() == 0 else ("--user", "--map-root-user")),
            *("sh", "-c", INSIDE, "sh", str(place), sys.executable, sys.prefix, sys.base_prefix),
            env={
                **{"PATH": os.environ["PATH"], "HOME": "/root", "PYTHONPATH": "/root", "PYTHONUNBUFFERED": "1"},
                **{"MODAL_SERVER_URL": f"unix://{self.folder}/socket", "MODAL_IS_REMOTE": "1"},
                **{"MODAL_CONTAINER_ARGUMENTS_PATH": str(place / "arguments"), "MODAL_TASK_ID": arguments.task_id},
                **secrets,
            },
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        print(f"  container {self.container.pid}: {', '.join(sorted(secrets))}", flush=True)
        asyncio.get_running_loop().create_task(self._read(self.container))

    async def _read(self, container: asyncio.subprocess.Process) -> None:
        assert container.stdout is not None
        while line := (await container.stdout.readline()).decode():
            print(f"  container: {line}", end="", flush=True)
            self.logs.put_nowait(line)

    async def end(self) -> None:
        """Ends the container of the app."""
        if self.container is not None and self.container.returncode is None:
            self.container.kill()
            await self.container.wait()
            print("  container ended", flush=True)


#: A container's settings, besides its namespaces: the uploaded files where Modal puts them, a Python, and a loopback.
INSIDE = """
set -e
place=$1 python=$2
shift 2
for path in root srv; do
  mkdir $place/outer-$path
  mount --bind /$path $place/outer-$path
  mount -t tmpfs tmpfs /$path
  if [ -d $place/$path ]; then cp -r $place/$path/. /$path; fi
done
for needed; do
  case $needed in /root/*) mkdir -p $needed; mount --bind $place/outer-root/${needed#/root/} $needed ;; esac
done
umount -l $place/outer-root $place/outer-srv
ip link set lo up
cd /root
exec $python -m modal._container_entrypoint
"""


async def _within(timeout: float, waiting: Any) -> Any:
    """The result, or None after so many seconds."""
    try:
        return await asyncio.wait_for(waiting, timeout or 0.001)
    except asyncio.TimeoutError:
        return None


def _handlers(plane: ControlPlane) -> Any:
    """The methods as grpclib calls them; those of one question and one answer without its streams."""

    def unary(name: str, answer: Any) -> Any:
        async def handle(stream: Stream[Any, Any]) -> None:
            asked = await stream.recv_message()
            print(name, flush=True)
            await stream.send_message(await answer(asked))

        return handle

    def missing(name: str) -> Any:
        async def handle(_: Stream[Any, Any]) -> None:
            print(f"UNIMPLEMENTED {name}", flush=True)
            raise grpclib.GRPCError(grpclib.Status.UNIMPLEMENTED, f"the stand-in has no {name}")

        return handle

    for name in dir(api_grpc.ModalClientBase):
        if not name[0].isupper():
            continue
        own = name in ControlPlane.__dict__
        if own and name != "AppGetLogs":
            setattr(plane, name, unary(name, getattr(plane, name)))
        elif not own:
            setattr(plane, name, missing(name))
    return plane


async def main() -> None:
    with tempfile.TemporaryDirectory(prefix="modal-stand-in-") as name:
        folder = Path(name)
        ControlPlane.__abstractmethods__ = frozenset()
        plane = _handlers(ControlPlane(folder))
        for_clients, for_containers = Server([plane]), Server([plane])
        await for_clients.start("127.0.0.1", 0)
        await for_containers.start(path=str(folder / "socket"))
        port = for_clients._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        print(f"http://127.0.0.1:{port}", flush=True)
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, stop.set)
        loop.add_reader(sys.stdin.fileno(), lambda: None if sys.stdin.buffer.read1(4096) else stop.set())
        await stop.wait()
        await plane.end()


if __name__ == "__main__":
    asyncio.run(main())
