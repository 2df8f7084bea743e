"""Knowledge distillation: a network learns a larger one's soft maps, and its features stage-wise, then end-to-end."""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.image_processing_utils import BaseImageProcessor

from carmask.tasks.auto import labels_of, lone_object, task_for
from carmask.tasks.dots_task import DotsTask
from carmask.tasks.mask_task import MaskTask
from carmask.training.loader import to_pixels

NOISE = 0.1  # on the input of a stage that learns stage-wise, so that it does not rely on perfect features
FEATURE_WEIGHT = 0.5  # of the feature loss end-to-end


class DistillationLoss(nn.Module):
    """The loss of one training step as a module, so that several processes can share the step.

    Without a teacher it is the task's loss. With one, the student also learns the teacher's soft maps. After
    `fit_features` its stages learn the teacher's features too: stage-wise, each stage gets as its input the features
    that the stage before should give; end-to-end, it gets those that the stage before does give.

    Source: Hinton et al. 2015, https://arxiv.org/abs/1503.02531; Romero et al. 2015, https://arxiv.org/abs/1412.6550.
    """

    def __init__(self, student: PreTrainedModel, task: MaskTask | DotsTask, teacher: PreTrainedModel | None = None):
        """Takes a teacher of any labels; dots have none.

        Raises:
            ValueError: the teacher has many labels, and none with the name of the object.
        """
        super().__init__()
        self.student, self.task = student, task
        self.teacher = teacher.eval().requires_grad_(False) if teacher else None
        self.teacher_task = teacher_task(teacher.config, task) if teacher else None
        self.rotations: list[tuple[Tensor, Tensor]] = []  # per stage: mean and (student, teacher) matrix

    def train(self, mode: bool = True) -> "DistillationLoss":
        """Sets the student's mode; the teacher stays in evaluation mode."""
        self.student.train(mode)
        return self

    def forward(self, pixel_values: Tensor, target: Tensor, step: int = 0, stage_wise: bool = False) -> Tensor:
        """The loss for `pixel_values` (B, 3, H, W) and the task's `target` (B, …)."""
        if self.teacher is None:
            return self.task.loss(self.student(pixel_values).logits, target)
        assert isinstance(self.task, MaskTask)
        assert isinstance(self.teacher_task, MaskTask)
        options = {"output_hidden_states": True} if self.rotations else {}
        with torch.no_grad():
            answer = self.teacher(pixel_values, **options)
            margin = self.teacher_task.margin(answer.logits)
        if not self.rotations:
            logits = self.student(pixel_values).logits
            return self.task.loss(logits, target) + self.task.teacher_loss(logits, margin)
        wanted = self.targets(answer.hidden_states)
        features = self.stages(pixel_values, wanted if stage_wise else None)
        feature_loss = sum(F.mse_loss(found, want) for found, want in zip(features, wanted, strict=True))
        logits = self.student.decode_head(wanted if stage_wise and step % 2 else features)
        loss = self.task.loss(logits, target) + self.task.teacher_loss(logits, margin)
        return loss + (1 if stage_wise else FEATURE_WEIGHT) * feature_loss

    def stages(self, pixel_values: Tensor, stage_wise: list[Tensor] | None) -> list[Tensor]:
        """The student's features; with `stage_wise` each stage's input is the target before it, plus noise."""
        features = []
        x = pixel_values
        for index, stage in enumerate(self.student.segformer.stages):
            features.append(stage(x))
            x = features[-1] if stage_wise is None else stage_wise[index] + NOISE * torch.randn_like(stage_wise[index])
        return features

    def targets(self, features: Iterable[Tensor]) -> list[Tensor]:
        """The features that the student should have: the teacher's in the student's widths, layer-normed."""
        rotated = []
        for maps, (mean, matrix) in zip(features, self.rotations, strict=True):
            maps = F.conv2d(maps - mean.to(maps)[:, None, None], matrix.to(maps)[:, :, None, None])
            rotated.append(F.layer_norm(maps.movedim(1, -1), maps.shape[1:2]).movedim(-1, 1))
        return rotated

    @torch.no_grad()
    def fit_features(self, batches: Iterable[Tensor]) -> None:
        """Measures the teacher's features on `batches` of pixels and fixes how each stage maps to the student's.

        Each channel is standardised; then a fixed orthogonal matrix takes the features to the student's width: a
        random one where the student is wider, the leading principal directions where it is narrower.

        Raises:
            ValueError: teacher and student differ in the number or strides of their stages.
        """
        assert self.teacher is not None
        if self.teacher.config.model_type == "unet":
            raise ValueError("A U-Net gives no feature maps to learn from; choose another teacher.")
        batches = list(batches)
        stages = list(
            zip(*(self.teacher(pixels, output_hidden_states=True).hidden_states for pixels in batches), strict=True)
        )
        widths = self.student.config.hidden_sizes
        sizes = [tuple(maps.shape[-2:]) for maps in self.stages(batches[0][:1], None)]
        if sizes != [tuple(maps[0].shape[-2:]) for maps in stages]:
            raise ValueError(
                "The teacher's feature maps have other strides than the student's; choose another teacher."
            )
        generator = torch.Generator().manual_seed(0)
        for maps, width in zip(stages, widths, strict=True):
            values = torch.cat([part.movedim(1, -1).flatten(0, -2) for part in maps])  # (pixels, channels)
            mean, deviation = values.mean(0), values.std(0) + 1e-6
            values = (values - mean) / deviation
            channels = values.shape[1]
            if width >= channels:
                matrix = torch.linalg.qr(torch.randn(width, channels, generator=generator)).Q  # (width, channels)
            else:
                matrix = torch.linalg.eigh(values.T @ values).eigenvectors[:, -width:].T
            self.rotations.append((mean, matrix / deviation))


def teacher_task(config: PreTrainedConfig, task: MaskTask | DotsTask) -> MaskTask | DotsTask:
    """What a teacher's maps mean: the label beside "background" is the object, one of many has to have its name.

    Raises:
        ValueError: none of many has, or it places dots.
    """
    settings = config.to_dict()
    if settings.get("task") == "dots":
        raise ValueError("It places dots, and a teacher draws masks; choose another teacher.")
    labels, name = labels_of(settings), task.labels[-1]
    if lone_object(labels):
        return task_for(settings)
    if name.casefold() not in (label.strip().casefold() for label in labels):
        raise ValueError(f"it has no label named {name}; its labels are {', '.join(labels)}; choose another teacher.")
    return task_for(settings, [name])


def batch_loss(
    criterion: nn.Module, batch: dict, processor: BaseImageProcessor, step: int = 0, stage_wise: bool = False
) -> Tensor:
    """The loss of `criterion`, on the device where it is, for a batch of examples."""
    device = next(criterion.parameters()).device
    grey, target = (batch[name].to(device) for name in ("grey", "target"))
    return criterion(to_pixels(grey, processor), target, step, stage_wise)
