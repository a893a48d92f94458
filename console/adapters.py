from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest


class ClosedSignupAdapter(DefaultAccountAdapter):
    """Accounts come from the import and from staff; nobody signs up."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False
