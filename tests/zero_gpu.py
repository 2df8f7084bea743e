"""A stand-in for the package `spaces` on a Space with ZeroGPU, and a hundred requests of the page to it.

    python tests/zero_gpu.py MASK_MODEL DOTS_MODEL

As in the real one, a decorated function runs in a process that is forked out of the asking thread and kept; every
tenth request is refused, as it is without quota. The network runs on this processor, with torch, in the fork: that is
where threads of OpenMP hang, if the process that was forked from has used them.
"""

import multiprocessing
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

os.environ["SPACES_ZERO_GPU"] = "true"
seconds, calls = [], []


def lend(task, *, duration):
    """The decorator `spaces.GPU`."""
    fork = multiprocessing.get_context("fork")
    workers = []

    def serve(end):
        while True:
            end.send(task(*end.recv()))

    def ask(*arguments):
        calls.append(len(arguments[-1]))
        if len(calls) % 10 == 0:
            raise gr.Error("You have exceeded your ZeroGPU quota.", print_exception=False)
        seconds.append(duration(*arguments))
        if len(calls) % 3 == 0:
            workers.clear()  # the worker was sent away meanwhile; the next is forked anew
        if not workers:
            ours, theirs = fork.Pipe()
            fork.Process(target=serve, args=(theirs,), daemon=True).start()
            workers.append(ours)
        workers[0].send(arguments)
        assert workers[0].poll(60), "it hangs"
        return workers[0].recv()

    return ask


spaces = ModuleType("spaces")
spaces.GPU = lend
sys.modules["spaces"] = spaces

import gradio as gr  # noqa: E402 (as on a Space, after `spaces`)
import numpy as np  # noqa: E402
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from conftest import drawn_car  # noqa: E402

from carmask import Predictor  # noqa: E402
from carmask.demo.server import gpu  # noqa: E402
from carmask.inference.torch_network import load_network, torch_function  # noqa: E402


def on_this_processor(predictor, model):
    """What stands in for a network on the GPU."""
    return gpu.replace(predictor, network=torch_function(load_network(model)))


def main(models):
    """Asks both models in turn, alone and three pictures at a time; prints the requests and the seconds asked for."""
    gpu.on_cuda = on_this_processor
    predictors = {model: Predictor.from_pretrained(model) for model in models}
    finders = {
        model: gpu.make_find_maps({one.name: model}, lambda _, one=one: one) for model, one in predictors.items()
    }
    torch.set_num_threads(2)
    with ThreadPoolExecutor(1) as handler:  # the thread of the page's turns
        for number in range(100):
            model = models[number % len(models)]
            views = [
                gpu.view_of(predictors[model], drawn_car((60 + number, 90), seed)[0])
                for seed in range(1 if number % 4 else 3)
            ]
            handler.submit(F.interpolate, torch.rand(1, 8, 300, 300), scale_factor=4).result()  # as another might
            found = handler.submit(finders[model], predictors[model], views).result(timeout=100)
            wanted = gpu.maps_of(predictors[model], views)
            assert all(np.allclose(one, other, atol=1e-3) for one, other in zip(found, wanted, strict=True))
            assert len(found) == len(views)
    print(len(calls), sum(calls), sum(seconds), max(seconds))


if __name__ == "__main__":
    main(sys.argv[1:])
