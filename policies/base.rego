# Registers what no other module has a reason against. Set it together with the modules that name reasons:
#
#     docket policy set policies/base.rego policies/time-bounds.rego --data DIR
package docket.registration

default allow := false

allow if count(reasons) == 0
