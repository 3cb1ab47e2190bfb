"""The page on which operators show their second factor, and set it up."""

from typing import Any

import segno
from django import forms
from django.contrib import admin
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from unfold.widgets import UnfoldAdminTextInputWidget

from accounts.models import User
from accounts.services import second_factor
from common.errors import DomainError


class CodeForm(forms.Form):
    code = forms.CharField(
        label=_("Code"),
        max_length=40,
        widget=UnfoldAdminTextInputWidget(
            attrs={"autocomplete": "one-time-code", "autofocus": True, "inputmode": "text"}
        ),
    )


@never_cache
def second_factor_page(request: HttpRequest) -> HttpResponse:
    """Ask for the code of operators who have a second factor, and let the others set one up."""
    user = request.user
    if not isinstance(user, User) or not user.is_staff:
        return redirect_to_login(request.get_full_path(), reverse("admin:login"))
    form = CodeForm(request.POST or None)
    if second_factor.confirmed_factor(user):
        return ask(request, user, form)
    return set_up(request, user, form)


def ask(request: HttpRequest, user: User, form: CodeForm) -> HttpResponse:
    if request.method == "POST" and form.is_valid():
        try:
            factor = second_factor.verify(user=user, code=form.cleaned_data["code"])
        except DomainError as error:
            form.add_error("code", str(error))
        else:
            request.session.cycle_key()
            request.session[second_factor.PASSED] = str(factor.pk)
            return HttpResponseRedirect(next_page(request))
    return show(request, _("Second factor"), form=form)


def set_up(request: HttpRequest, user: User, form: CodeForm) -> HttpResponse:
    if request.method == "POST" and form.is_valid():
        try:
            codes = second_factor.confirm(user=user, code=form.cleaned_data["code"])
        except DomainError as error:
            form.add_error("code", str(error))
        else:
            factor = second_factor.confirmed_factor(user)
            request.session.cycle_key()
            request.session[second_factor.PASSED] = str(factor and factor.pk)
            return show(request, _("Recovery codes"), codes=codes, next=next_page(request))
    factor = second_factor.begin(user)
    picture = segno.make(second_factor.address_of(factor), micro=False).svg_data_uri(scale=5)
    secret = second_factor.secret_of(factor)
    return show(request, _("Set up the second factor"), form=form, picture=picture, secret=secret)


def next_page(request: HttpRequest) -> str:
    wanted = request.GET.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    return wanted if is_ours else reverse("admin:index")


def show(request: HttpRequest, title: Any, **context: Any) -> TemplateResponse:
    whole = {**admin.site.each_context(request), "title": title, **context}
    return TemplateResponse(request, "backoffice/second_factor.html", whole)
