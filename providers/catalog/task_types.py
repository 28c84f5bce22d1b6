"""Kinds of work that a model can do, and the kind of result that each gives."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class TaskType(models.TextChoices):
    TEXT_TO_IMAGE = "text_to_image", _("text to image")
    IMAGE_TO_IMAGE = "image_to_image", _("image to image")
    TEXT_TO_VIDEO = "text_to_video", _("text to video")
    IMAGE_TO_VIDEO = "image_to_video", _("image to video")
    TEXT = "text", _("text")


# The kind of result of each task type.
RESULT_KINDS: dict[str, str] = {
    TaskType.TEXT_TO_IMAGE: "image",
    TaskType.IMAGE_TO_IMAGE: "image",
    TaskType.TEXT_TO_VIDEO: "video",
    TaskType.IMAGE_TO_VIDEO: "video",
    TaskType.TEXT: "text",
}
