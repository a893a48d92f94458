from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from certificates.models import Certificate


@login_required
def bare(request: HttpRequest) -> HttpResponse:
    """The same 20 certificates as the Overview's first page, and nothing else."""
    certificates = Certificate.objects.filter(account=request.user, deleted_at=None).select_related("product")
    newest = certificates.defer("pem").order_by("-listed_at", "-id")[:20]
    return render(request, "bench/bare.html", {"certificates": newest})
