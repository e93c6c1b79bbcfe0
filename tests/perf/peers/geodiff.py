"""What geodiff takes to find the changes between two GeoPackages and to apply them to a third: seconds, on a line."""

import sys
import time

import pygeodiff

base, modified, target, changes = sys.argv[1:5]
diff = pygeodiff.GeoDiff()
began = time.perf_counter()
diff.create_changeset(base, modified, changes)
diff.apply_changeset(target, changes)
seconds = time.perf_counter() - began
if not diff.has_changes(changes):
    sys.exit("there are no changes")
print(diff.changes_count(changes), seconds)
