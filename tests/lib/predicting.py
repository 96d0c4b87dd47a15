"""`metaloop predict` in a folder, and the rows of its CSV."""
import csv
import io

import cli


def predict(place, run, *words):
    return cli.run("predict", "--checkpoint", run, *words, cwd=place)


def rows(place, run, *words):
    """Of --csv: the head, and a list of fields for each answer."""
    done = predict(place, run, "--csv", *words)
    assert done.rc == 0, done
    head, *found = csv.reader(io.StringIO(done.out))
    return head, found
