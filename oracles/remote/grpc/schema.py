"""Messages and methods of the Open Inference Protocol over gRPC, made from a table when they are needed.

The table holds names, numbers and types of the fields as the protocol's specification has them, with those that Triton
and MLServer add. The messages live in a pool of their own, so that a program may load any vendor's generated messages
of the same names beside them.

Source: https://github.com/kserve/open-inference-protocol (gRPC), Triton's `grpc_service.proto` and
`model_config.proto`, MLServer's `dataplane.proto`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

SERVICE = "inference.GRPCInferenceService"
"""The service, whose methods take `NAMERequest` and answer with `NAMEResponse`."""

METHODS = (
    "ServerLive",
    "ServerReady",
    "ModelReady",
    "ServerMetadata",
    "ModelMetadata",
    "ModelInfer",
    "ModelConfig",
    "ModelStatistics",
    "RepositoryIndex",
)
"""Those methods that are asked or answered here."""

_PACKAGE = "inference"
_NAMED = {"name": (1, "string"), "version": (2, "string")}
_TENSOR = {
    "name": (1, "string"),
    "datatype": (2, "string"),
    "shape": (3, "repeated int64"),
    "parameters": (4, "map InferParameter"),
}
_DURATION = (
    *("success", "fail", "queue", "compute_input"),
    *("compute_infer", "compute_output", "cache_hit", "cache_miss"),
)

_MESSAGES: Mapping[str, Mapping[str, tuple[int, str]]] = {
    "ServerLiveRequest": {},
    "ServerLiveResponse": {"live": (1, "bool")},
    "ServerReadyRequest": {},
    "ServerReadyResponse": {"ready": (1, "bool")},
    "ModelReadyRequest": _NAMED,
    "ModelReadyResponse": {"ready": (1, "bool")},
    "ServerMetadataRequest": {},
    "ServerMetadataResponse": {**_NAMED, "extensions": (3, "repeated string")},
    "ModelMetadataRequest": _NAMED,
    "TensorMetadata": _TENSOR,
    "ModelMetadataResponse": {
        "name": (1, "string"),
        "versions": (2, "repeated string"),
        "platform": (3, "string"),
        "inputs": (4, "repeated TensorMetadata"),
        "outputs": (5, "repeated TensorMetadata"),
        "parameters": (6, "map InferParameter"),
    },
    "InferParameter": {
        "bool_param": (1, "oneof bool"),
        "int64_param": (2, "oneof int64"),
        "string_param": (3, "oneof string"),
        "double_param": (4, "oneof double"),
        "uint64_param": (5, "oneof uint64"),
    },
    "InferTensorContents": {
        "bool_contents": (1, "repeated bool"),
        "int_contents": (2, "repeated int32"),
        "int64_contents": (3, "repeated int64"),
        "uint_contents": (4, "repeated uint32"),
        "uint64_contents": (5, "repeated uint64"),
        "fp32_contents": (6, "repeated float"),
        "fp64_contents": (7, "repeated double"),
        "bytes_contents": (8, "repeated bytes"),
    },
    "InferInputTensor": {**_TENSOR, "contents": (5, "InferTensorContents")},
    "InferRequestedOutputTensor": {"name": (1, "string"), "parameters": (2, "map InferParameter")},
    "ModelInferRequest": {
        "model_name": (1, "string"),
        "model_version": (2, "string"),
        "id": (3, "string"),
        "parameters": (4, "map InferParameter"),
        "inputs": (5, "repeated InferInputTensor"),
        "outputs": (6, "repeated InferRequestedOutputTensor"),
        "raw_input_contents": (7, "repeated bytes"),
    },
    "InferOutputTensor": {**_TENSOR, "contents": (5, "InferTensorContents")},
    "ModelInferResponse": {
        "model_name": (1, "string"),
        "model_version": (2, "string"),
        "id": (3, "string"),
        "parameters": (4, "map InferParameter"),
        "outputs": (5, "repeated InferOutputTensor"),
        "raw_output_contents": (6, "repeated bytes"),
    },
    "ModelConfigRequest": _NAMED,
    "ModelInput": {
        "name": (1, "string"),
        "data_type": (2, "DataType"),
        "dims": (4, "repeated int64"),
        "optional": (8, "bool"),
    },
    "ModelOutput": {"name": (1, "string"), "data_type": (2, "DataType"), "dims": (3, "repeated int64")},
    "ModelConfig": {
        "name": (1, "string"),
        "platform": (2, "string"),
        "max_batch_size": (4, "int32"),
        "input": (5, "repeated ModelInput"),
        "output": (6, "repeated ModelOutput"),
        "backend": (17, "string"),
    },
    "ModelConfigResponse": {"config": (1, "ModelConfig")},
    "ModelStatisticsRequest": _NAMED,
    "StatisticDuration": {"count": (1, "uint64"), "ns": (2, "uint64")},
    "InferStatistics": {name: (number, "StatisticDuration") for number, name in enumerate(_DURATION, 1)},
    "InferBatchStatistics": {
        "batch_size": (1, "uint64"),
        "compute_input": (2, "StatisticDuration"),
        "compute_infer": (3, "StatisticDuration"),
        "compute_output": (4, "StatisticDuration"),
    },
    "ModelStatistics": {
        **_NAMED,
        "last_inference": (3, "uint64"),
        "inference_count": (4, "uint64"),
        "execution_count": (5, "uint64"),
        "inference_stats": (6, "InferStatistics"),
        "batch_stats": (7, "repeated InferBatchStatistics"),
    },
    "ModelStatisticsResponse": {"model_stats": (1, "repeated ModelStatistics")},
    "RepositoryIndexRequest": {"repository_name": (1, "string"), "ready": (2, "bool")},
    "ModelIndex": {**_NAMED, "state": (3, "string"), "reason": (4, "string")},
    "RepositoryIndexResponse": {"models": (1, "repeated ModelIndex")},
}
"""Fields of each message: number and type, which `repeated`, `map` (from texts) or `oneof` may stand before."""

_DATA_TYPES = (
    *("INVALID", "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64"),
    *("FP16", "FP32", "FP64", "STRING", "BF16"),
)
"""Types of tensors in the configuration of a model, by number."""


def message(name: str, /, **fields: object) -> Any:
    """A message.

    Args:
        name: of its kind.
        fields: of it; messages inside may be given as dictionaries.
    """
    return _classes()[name](**fields)


def parsed(name: str, raw: bytes) -> Any:
    """The message in some bytes.

    Raises:
        ValueError: there is none.
    """
    from google.protobuf.message import DecodeError

    try:
        return _classes()[name].FromString(raw)
    except DecodeError as error:
        raise ValueError(f"no {name}: {error}") from None


@cache
def _classes() -> dict[str, Any]:
    """The class of each message."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(
        name="bbsmooth/open_inference.proto",
        package=_PACKAGE,
        syntax="proto3",
        enum_type=[
            descriptor_pb2.EnumDescriptorProto(
                name="DataType",
                value=[
                    descriptor_pb2.EnumValueDescriptorProto(name=f"TYPE_{name}", number=number)
                    for number, name in enumerate(_DATA_TYPES)
                ],
            )
        ],
        message_type=[_described(name, fields) for name, fields in _MESSAGES.items()],
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _MESSAGES
    }


def _described(name: str, fields: Mapping[str, tuple[int, str]]) -> Any:
    """The descriptor of a message."""
    from google.protobuf import descriptor_pb2

    found = descriptor_pb2.DescriptorProto(name=name)
    for field, (number, kind) in fields.items():
        how, _, what = kind.rpartition(" ")
        if how == "map":
            entry = f"{field.title().replace('_', '')}Entry"
            nested = _described(entry, {"key": (1, "string"), "value": (2, what)})
            nested.options.map_entry = True
            found.nested_type.append(nested)
            how, what = "repeated", f"{name}.{entry}"
        if how == "oneof" and not found.oneof_decl:
            found.oneof_decl.add(name="parameter_choice")
        added = found.field.add(name=field, number=number, label=3 if how == "repeated" else 1)
        if how == "oneof":
            added.oneof_index = 0
        _type(added, what)
    return found


def _type(field: Any, what: str) -> None:
    """Set the type of a field."""
    if what == "DataType" or what[0].isupper():
        field.type = field.TYPE_ENUM if what == "DataType" else field.TYPE_MESSAGE
        field.type_name = f".{_PACKAGE}.{what}"
    else:
        field.type = getattr(field, f"TYPE_{what.upper()}")
