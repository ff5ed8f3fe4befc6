def page(facts):
    return ""
