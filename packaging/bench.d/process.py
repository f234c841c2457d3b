"""What /proc says of a process that is measured."""


def fields(path):
    """The `Name:  123 kB` lines of a /proc file, in KiB."""
    found = {}
    with open(path) as file:
        for line in file:
            name, _, value = line.partition(":")
            words = value.split()
            if len(words) == 2 and words[1] == "kB":
                found[name] = int(words[0])
    return found
