"""Tools that a model may call: the same for the library, the gateway and LangChain.

`definition` is how a tool and a choice among tools are described, `offer` what becomes of them in a request,
`schemas` changes schemas that move into others, and `calls` finds the calls in an answer.
"""
