"""The parts of every page that apps fill in: navigation, notices, the looks of statuses, themes.

Each app registers its own in ``AppConfig.ready()``, so that this package knows no app.
"""
