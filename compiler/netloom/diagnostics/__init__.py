"""What a user is told about a mistake: what, where, why, and what to write instead."""

from netloom.diagnostics.codes import CODES as CODES
from netloom.diagnostics.diagnostic import Diagnostic as Diagnostic
from netloom.diagnostics.diagnostic import Diagnostics as Diagnostics
from netloom.diagnostics.diagnostic import Edit as Edit
from netloom.diagnostics.diagnostic import Failed as Failed
from netloom.diagnostics.diagnostic import Note as Note
from netloom.diagnostics.diagnostic import Source as Source
from netloom.diagnostics.diagnostic import Span as Span
from netloom.diagnostics.names import did_you_mean as did_you_mean
from netloom.diagnostics.names import unknown_name as unknown_name
