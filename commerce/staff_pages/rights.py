"""Names of permissions in the user's language. The database stores English names."""

from django.apps import apps
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

_VERBS = {
    "add": gettext_noop("Can add %(model)s"),
    "change": gettext_noop("Can change %(model)s"),
    "delete": gettext_noop("Can delete %(model)s"),
    "view": gettext_noop("Can view %(model)s"),
}


def right_in_words(right: str) -> str:
    """App, model and action of a permission such as `orders.cancel_order`, in the user's language.

    Other text is returned unchanged.
    """
    app_label, _dot, codename = right.partition(".")
    verb, _underscore, model_name = codename.partition("_")
    for model in apps.get_app_config(app_label).get_models() if app_label in apps.app_configs else ():
        options = model._meta
        own = dict(options.permissions).get(codename)
        is_usual = verb in options.default_permissions and options.model_name == model_name
        if own or is_usual:
            # Some libraries do not translate the names of their app and models.
            app, name = _(str(options.app_config.verbose_name)), _(str(options.verbose_name))
            return f"{app} | {name} | {_(str(own)) if own else _(_VERBS[verb]) % {'model': name}}"
    return right
