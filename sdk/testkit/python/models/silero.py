"""Silero VAD: LSTM cell, If and STFT. Fetched as it is, for the test that such a model is refused by name."""

import onnx


def build(packages):
    return onnx.load_from_string(packages.read("silero-vad", "silero_vad/data/silero_vad_op18_ifless.onnx"))
