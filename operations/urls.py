"""Addresses of this app, beside those of the control room."""

from django.urls import path

from operations import metrics_view

urlpatterns = [path("metrics", metrics_view.show_metrics, name="metrics")]
