"""Rules of tests/lint.py about includes: the directions between rooms, and no circle between files."""
import os
import re

CORE = {"core/base", "core/sim", "core/math", "core/config", "core/data", "core/file", "core/plan"}
ROOMS = {  # room: the rooms beneath it, from which it may include
    "core/base": set(),
    "core/sim": {"core/base"},
    "core/math": {"core/base"},
    "core/config": {"core/base"},
    "core/data": {"core/base", "core/math", "core/config"},
    "core/file": {"core/base", "core/math"},
    "core/plan": CORE - {"core/plan"},
    "proto": CORE,
    "proto/comm": CORE,
    "proto/stream": CORE | {"proto"},
    "worker/inner": CORE,
    "worker/contract": CORE | {"worker/inner"},
    "worker/transfer": CORE | {"worker/inner", "worker/contract"},
    "worker/method": CORE | {"worker/inner", "worker/contract", "worker/transfer"},
    "worker": CORE | {"proto", "proto/comm", "worker/inner", "worker/contract", "worker/transfer", "worker/method"},
    "coordinator/crew": CORE | {"proto", "proto/comm"},
    "coordinator/run": CORE | {"proto", "proto/comm", "proto/stream", "coordinator/crew"},
    "observer/model": {"core/base", "proto/stream"},
    "observer/source": {"core/base", "proto", "proto/stream", "observer/model"},
    "observer/view": {"core/base", "proto", "proto/stream", "observer/source", "observer/model"},
    "observer": {"core/base", "proto", "proto/stream", "observer/source", "observer/model", "observer/view"},
}
ROOMS["launch"] = {room for room in ROOMS if not room.startswith("observer")}
FREE = ("tests", "bench")  # these may include anything


def room_of(path):
    """The longest room that holds the file, or its folder."""
    folder = os.path.dirname(path)
    while folder and folder not in ROOMS:
        folder = os.path.dirname(folder)
    return folder or path.split("/")[0]


def unit_of(path):
    """A .c file, its header and the header of its interior are one."""
    return re.sub(r"(_internal)?\.[ch]$", "", path)


def circles(arrows):
    """The circles of a graph {node: {nodes}}: each as the sorted nodes of a strongly connected component of several."""
    number, low, stack, found = {}, {}, [], []

    def visit(node):
        number[node] = low[node] = len(number)
        stack.append(node)
        for to in sorted(arrows.get(node, ())):
            if to not in number:
                visit(to)
            if to in stack:
                low[node] = min(low[node], low[to])
        if low[node] == number[node]:
            part = stack[stack.index(node):]
            del stack[stack.index(node):]
            if len(part) > 1:
                found.append(tuple(sorted(part)))

    for node in sorted(arrows):
        if node not in number:
            visit(node)
    return sorted(found)


def steps(graph, circle):
    """The arrows of a circle, with what is used where that is known."""
    for a in circle:
        for b in circle:
            if b in graph[a]:
                yield f"{a} -> {b}" + (f" ({', '.join(graph[a][b])})" if isinstance(graph[a], dict) else "")


class Rooms:
    """Takes the files one by one; conclude() says what is wrong with all of them.

    tell(path, line, message): a violation
    """

    def __init__(self, tell):
        self.tell, self.files = tell, {}

    def add(self, path, source):
        self.check_directions(path, source)
        if room_of(path) not in FREE:
            self.files[path] = source

    def check_directions(self, path, source):
        room = room_of(path)
        if room not in ROOMS:
            return
        for line, header in source.includes:
            target = room_of(header)
            if "/" not in header or target == room or target in ROOMS[room]:
                continue
            if target in ROOMS or target in FREE:
                self.tell(path, line, f"'{room}' may not include '{header}'")
            else:
                self.tell(path, line, f"'{header}': paths of includes start at the root")

    def include_graph(self):
        graph = {}
        for path, source in self.files.items():
            graph.setdefault(unit_of(path), set()).update(unit_of(h) for _, h in source.includes if h in self.files)
        return {unit: to - {unit} for unit, to in graph.items()}

    def seen_from(self, path):
        """The functions and objects that headers declare which a file includes, or which those include."""
        words, ahead, done = set(), [path], set()
        while ahead:
            for _, header in self.files[ahead.pop()].includes:
                if header in self.files and header not in done:
                    done.add(header)
                    ahead.append(header)
                    words |= self.files[header].called | self.files[header].extern
        return words

    def call_graph(self):
        """{unit: {unit: what it uses of it}}; functions, and objects such as a plug-in that a table lists."""
        owner = {}
        for path, source in self.files.items():
            owner.update((name, unit_of(path)) for name in source.shared - {"main"} if path.endswith(".c"))
        graph = {unit_of(path): {} for path in self.files}
        for path, source in self.files.items():
            if path.endswith(".h"):
                continue
            for name in sorted(source.words & owner.keys() & (self.seen_from(path) | source.extern)):
                if owner[name] != unit_of(path) and source.uses(name):
                    graph[unit_of(path)].setdefault(owner[name], []).append(name)
        return graph

    def conclude(self):
        graphs = {"include": self.include_graph(), "call": self.call_graph()}
        for verb, graph in graphs.items():
            for circle in circles(graph):
                files, arrows = ", ".join(circle), "; ".join(steps(graph, circle))
                self.tell(circle[0], 0, f"{files} {verb} each other in a circle: {arrows}")
