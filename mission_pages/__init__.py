"""The HTML pages of missions, for creators and, in the admin, for operators.

A selector reads, a service acts, a template shows.
"""
