"""ONNX Runtime, OpenVINO or LiteRT as a worker of compare.py: worker.py RUNTIME MODEL INPUT.npy BATCH THREADS.

Says "ready VERSION" once it can run; then, for each line with a number of calls, answers with the nanoseconds of each.
"""

import sys
import time

import numpy as np


def onnxruntime(path, image, threads):
    import onnxruntime as ort
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feeds = {session.get_inputs()[0].name: image}
    return ort.__version__, lambda: session.run(None, feeds)


def openvino(path, image, threads):
    import openvino as ov
    core = ov.Core()
    model = core.read_model(path)
    model.reshape(list(image.shape))
    # The default precision: on a CPU with fast bf16 products, OpenVINO runs f32 files in bf16.
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1}
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    return ov.__version__.split("-")[0], lambda: request.infer({0: image}, share_inputs=True, share_outputs=True)


def litert(path, image, threads):
    import ai_edge_litert
    from ai_edge_litert.interpreter import Interpreter
    # XNNPACK is its default delegate.
    interpreter = Interpreter(model_path=path, num_threads=threads)
    interpreter.allocate_tensors()
    entry = interpreter.get_input_details()[0]
    if list(entry["shape"]) != list(image.shape):
        image = np.ascontiguousarray(image.transpose(0, 2, 3, 1))
    if entry["dtype"] == np.int8:
        scale, zero_point = entry["quantization"]
        image = np.clip(np.rint(image / scale) + zero_point, -128, 127).astype(np.int8)
    exits = [output["index"] for output in interpreter.get_output_details()]

    def run():
        interpreter.set_tensor(entry["index"], image)
        interpreter.invoke()
        return [interpreter.get_tensor(index) for index in exits]

    return ai_edge_litert.__version__, run


def main():
    runtime, path, image, batch, threads = sys.argv[1:]
    image = np.load(image)
    image = np.ascontiguousarray(np.repeat(image, int(batch), axis=0))
    version, run = {"onnxruntime": onnxruntime, "openvino": openvino, "litert": litert}[runtime](path, image, int(threads))
    run()
    print("ready", version, flush=True)
    for line in sys.stdin:
        took = []
        for _ in range(int(line)):
            start = time.perf_counter_ns()
            run()
            took.append(time.perf_counter_ns() - start)
        print(*took, flush=True)


main()
