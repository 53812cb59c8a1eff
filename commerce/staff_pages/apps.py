from django.apps import AppConfig


class StaffPagesConfig(AppConfig):
    name = "commerce.staff_pages"
    label = "staff_pages"
