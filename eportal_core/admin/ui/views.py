"""All pages of the core, one line a module."""

from __future__ import annotations

from eportal_core.admin.ui import (
    api_keys,
    deploy,
    docs,
    feeds,
    jobs,
    keys,
    manage,
    overview,
    patchsets,
    server,
    servers,
    servers_selected,
    sessions,
    settings_source,
    storage,
    tags,
    tasks,
    user_log,
    users,
)

VIEWS = (
    *overview.VIEWS,
    *servers.VIEWS,
    *servers_selected.VIEWS,
    *server.VIEWS,
    *tags.VIEWS,
    *feeds.VIEWS,
    *keys.VIEWS,
    *api_keys.VIEWS,
    *users.VIEWS,
    *sessions.VIEWS,
    *tasks.VIEWS,
    *deploy.VIEWS,
    *manage.VIEWS,
    *patchsets.VIEWS,
    *user_log.VIEWS,
    *settings_source.VIEWS,
    *jobs.VIEWS,
    *storage.VIEWS,
    *docs.VIEWS,
)
