"""Weights and activations in eight bits: an ONNX graph whose answer for one sentence is the same whatever stands beside it in a batch."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import NodeProto, helper, numpy_helper

TOP = 63  # weights of 7 bits: processors without VNNI add pairs of products in 16 bits, which 8-bit weights overflow
LEAST = 1e-5  # of a magnitude that something is divided by
ZERO = 128  # of the activations, which are uint8


def quantize(source: Path, out: Path, samples: Iterable[Mapping[str, NDArray[np.int64]]]) -> None:
    """Write the float32 graph `source` with its matrix products in int8: a scale for each output channel of the weights, and one for each row
    (token) of the activations, found while it runs.

    onnxruntime's quantize_dynamic takes one scale for a whole batch, so that a sentence's answer moves with its neighbours; its static
    scales, calibrated beforehand, moved the logits of this encoder four times as far as scales per row (docs/throughput.md). A few units
    of an encoder are far larger than all others and would take most of the eight bits; half of their size, as seen on the inputs
    `samples`, is moved into the weights that they meet (SmoothQuant, Xiao et al. 2023, with alpha = 0.5).
    """
    model = onnx.load(source)
    graph = _Rewriter(model.graph, _largest(source, samples))
    for node in model.graph.node:
        graph.take(node)
    del model.graph.node[:]
    model.graph.node.extend(graph.nodes)
    kept = [item for item in model.graph.initializer if item.name not in graph.replaced]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    onnx.save(model, out)


def _products(graph: onnx.GraphProto) -> dict[str, list[str]]:
    """The weights that each activation is multiplied by: names of matrices by the activation's name."""
    weights = {item.name for item in graph.initializer}
    found: dict[str, list[str]] = {}
    for node in graph.node:
        if node.op_type == "MatMul" and node.input[1] in weights:
            found.setdefault(node.input[0], []).append(node.input[1])
    return found


def _largest(source: Path, samples: Iterable[Mapping[str, NDArray[np.int64]]]) -> dict[str, NDArray[np.float32]]:
    """The largest magnitude of each unit of each activation that meets weights, over all samples: shape (units,) by its name."""
    model = onnx.load(source)
    names = list(_products(model.graph))
    model.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    largest: dict[str, NDArray[np.float32]] = {}
    for sample in samples:
        for name, value in zip(names, session.run(names, dict(sample)), strict=True):
            seen = np.abs(value).reshape(-1, value.shape[-1]).max(axis=0)
            largest[name] = np.maximum(largest[name], seen) if name in largest else seen
    return largest


class _Rewriter:
    """The nodes of the new graph, in order."""

    def __init__(self, graph: onnx.GraphProto, largest: Mapping[str, NDArray[np.float32]]) -> None:
        self.graph = graph
        self.weights = {item.name: item for item in graph.initializer}
        self.nodes: list[NodeProto] = []
        self.replaced: set[str] = set()
        self.rows: dict[str, str] = {}  # activations that are quantized already: query, key and value read the same ones
        self.constants: set[str] = set()
        self.smoothing: dict[str, NDArray[np.float32]] = {}  # what each unit of an activation is divided by, and its weights multiplied
        for x, names in _products(graph).items():
            met = np.max([np.abs(numpy_helper.to_array(self.weights[name])).max(axis=1) for name in names], axis=0)
            self.smoothing[x] = np.sqrt(np.maximum(largest[x], LEAST) / np.maximum(met, LEAST)).astype(np.float32)

    def take(self, node: NodeProto) -> None:
        """Add `node`, or its eight-bit form where it multiplies by a matrix of weights."""
        if node.op_type != "MatMul" or node.input[1] not in self.weights:
            self.nodes.append(node)
            return
        weights = numpy_helper.to_array(self.weights[node.input[1]]) * self.smoothing[node.input[0]][:, None]
        scale = np.maximum(np.abs(weights).max(axis=0) / TOP, 1e-12).astype(np.float32)
        self.replaced.add(node.input[1])
        at, x = f"int8:{node.output[0]}", node.input[0]
        rows = self._rows(x, weights.shape[0])
        codes = self._constant(f"{at}.weights", np.round(weights / scale).astype(np.int8))
        inputs = [f"{rows}.codes", codes, self._constant("int8:one", np.float32(1)), self._constant(f"{at}.scale", scale)]
        self._add("MatMulIntegerToFloat", [*inputs, self._constant("int8:zero", np.uint8(ZERO))], f"{at}.product", domain="com.microsoft")
        self._add("Mul", [f"{at}.product", f"{rows}.scale"], f"{at}.flat")
        self._add("Shape", [x], f"{at}.all", end=-1)
        self._add("Concat", [f"{at}.all", self._constant(f"{at}.width", np.array([weights.shape[1]]))], f"{at}.shape", axis=0)
        self._add("Reshape", [f"{at}.flat", f"{at}.shape"], node.output[0])

    def _rows(self, x: str, width: int) -> str:
        """Quantize `x`, (..., width), a row at a time: scale = largest magnitude / 127."""
        if x in self.rows:
            return self.rows[x]
        at = self.rows[x] = f"int8:{x}"
        self._add("Reshape", [x, self._constant(f"int8:{width}", np.array([-1, width]))], f"{at}.plain")
        self._add("Mul", [f"{at}.plain", self._constant(f"{at}.smoothing", 1 / self.smoothing[x])], f"{at}.flat")
        self._add("Abs", [f"{at}.flat"], f"{at}.magnitude")
        self._add("ReduceMax", [f"{at}.magnitude"], f"{at}.largest", axes=[1], keepdims=1)
        self._add("Max", [f"{at}.largest", self._constant("int8:least", np.float32(1e-12))], f"{at}.above")
        self._add("Mul", [f"{at}.above", self._constant("int8:step", np.float32(1 / 127))], f"{at}.scale")
        self._add("Reshape", [f"{at}.scale", self._constant("int8:line", np.array([-1]))], f"{at}.line")
        self._add("Shape", [f"{at}.line"], f"{at}.count")
        self._add("Expand", [self._constant("int8:zero", np.uint8(ZERO)), f"{at}.count"], f"{at}.zeros")
        self._add("QuantizeLinear", [f"{at}.flat", f"{at}.line", f"{at}.zeros"], f"{at}.codes", axis=0)
        return at

    def _add(self, kind: str, inputs: list[str], output: str, domain: str = "", **attributes: object) -> None:
        self.nodes.append(helper.make_node(kind, inputs, [output], domain=domain, **attributes))

    def _constant(self, name: str, value: NDArray[np.generic] | np.generic) -> str:
        if name not in self.constants:
            self.constants.add(name)
            self.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
        return name
