"""The catalogue: every model that can be used, as data.

``task_types``  kinds of work
``values``      values as people give them, made ready for the checks
``parameters``  types of parameters, and the checks of their values
``prices``      published prices
``models``      a model: cleaning, price and JSON Schema of its parameters
``loading``     the files that list the models
``lookup``      which model a provider and an endpoint mean
"""

from providers.catalog.loading import CatalogError
from providers.catalog.lookup import (
    UnknownModel,
    all_models,
    default_model,
    find_default,
    find_model,
    free_form_model,
    get_model,
    model_of,
    offered_task_types,
    shortest_deadline,
    split,
)
from providers.catalog.models import Model, ParamsInvalid
from providers.catalog.parameters import FILE_PATTERN, MEGABYTE, Parameter, ParameterType
from providers.catalog.rows import model_of_row, models_of_rows

__all__ = [
    "FILE_PATTERN",
    "MEGABYTE",
    "CatalogError",
    "Model",
    "Parameter",
    "ParameterType",
    "ParamsInvalid",
    "UnknownModel",
    "all_models",
    "default_model",
    "find_default",
    "find_model",
    "free_form_model",
    "get_model",
    "model_of",
    "model_of_row",
    "models_of_rows",
    "offered_task_types",
    "shortest_deadline",
    "split",
]
