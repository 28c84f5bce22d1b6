"""Addresses of this app."""

from django.urls import path

from mission_pages import (
    comparison,
    corrections,
    downloads,
    gallery,
    item,
    mend,
    mission,
    mission_actions,
    mission_list,
    rest,
    results,
    spending,
    versions,
)
from mission_pages.new_mission import views as new_mission

# The names of these URLs, as "missions:list", are older than this app.
app_name = "missions"

urlpatterns = [
    path("missions/new", new_mission.new_mission, name="new"),
    path("missions/new/discard", new_mission.discard_draft, name="discard-draft"),
    path("missions/new/library", new_mission.library, name="new-library"),
    path("missions/new/sample", new_mission.sample, name="new-sample"),
    path("missions/<int:mission_id>/duplicate", new_mission.duplicate, name="duplicate"),
    path("results/compare", comparison.compare_selected, name="compare-selected"),
    path("results", results.show_results, name="results"),
    path("spending", spending.show_spending, name="spending"),
    path("missions", mission_list.show_list, name="list"),
    path("missions/<int:mission_id>", gallery.show_results, name="mission"),
    path("missions/<int:mission_id>/tiles", gallery.show_tiles, name="tiles"),
    path("missions/<int:mission_id>/tiles/numbers", gallery.show_numbers, name="numbers"),
    path("missions/<int:mission_id>/items", mission.show_items, name="items"),
    path("missions/<int:mission_id>/failures", mission.show_failures, name="failures"),
    path("missions/<int:mission_id>/failures/mend", mend.mend, name="mend"),
    path("missions/<int:mission_id>/settings", mission.show_settings, name="settings"),
    path("missions/<int:mission_id>/failures/sheet", corrections.corrections, name="corrections"),
    path("missions/<int:mission_id>/file-names", mission.show_file_names, name="file-names"),
    path("missions/<int:mission_id>/pulse", mission.show_pulse, name="pulse"),
    path("missions/<int:mission_id>/items/<int:index>", item.show_item, name="item"),
    path("missions/<int:mission_id>/items/<int:index>/compare", comparison.compare_row, name="compare-row"),
    path("missions/<int:mission_id>/items/<int:index>/retry", item.retry_item, name="retry-item"),
    path("missions/<int:mission_id>/items/<int:index>/run", versions.edit_and_run, name="edit-and-run"),
    path("missions/<int:mission_id>/items/<int:index>/choose", versions.choose, name="choose"),
    path("missions/<int:mission_id>/items/<int:index>/attach", item.attach_task, name="attach-task"),
    path("missions/<int:mission_id>/items/<int:index>/not-run", item.void_unconfirmed, name="not-run"),
    path("missions/<int:mission_id>/pause", mission_actions.pause, name="pause"),
    path("missions/<int:mission_id>/resume", mission_actions.resume, name="resume"),
    path("missions/<int:mission_id>/release", mission_actions.release, name="release"),
    path("missions/<int:mission_id>/rest", rest.change_rest, name="rest"),
    path("missions/<int:mission_id>/start", mission_actions.start, name="start"),
    path("missions/<int:mission_id>/reschedule", mission_actions.reschedule, name="reschedule"),
    path("missions/<int:mission_id>/cancel", mission_actions.cancel, name="cancel"),
    path("missions/<int:mission_id>/again", versions.again, name="again"),
    path("missions/<int:mission_id>/use", versions.use_as_input, name="use"),
    path("missions/<int:mission_id>/retry", mission_actions.retry, name="retry"),
    path("missions/<int:mission_id>/delete", mission_actions.delete, name="delete"),
    path("missions/<int:mission_id>/change", mission_actions.change, name="change"),
    path("missions/<int:mission_id>/template", mission_actions.save_template, name="save-template"),
    path("missions/<int:mission_id>/star", mission_actions.star, name="star"),
    path("missions/<int:mission_id>/selection.zip", downloads.download_selection, name="selection"),
]
