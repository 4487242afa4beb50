"""The usual script: a pool of processes that decode logger files and insert.

    pool.py DIR CONNECTION WORKERS CHUNK

A task is CHUNK files. Each process keeps its connection, decodes a task's files
with the csv module and inserts their readings in one transaction, a thousand
rows a statement. It prints how many readings it inserted.
"""

import csv
import multiprocessing
import os
import sys
from datetime import datetime

import psycopg2
from psycopg2.extras import execute_values

connection = None


def connect(dsn):
    global connection
    connection = psycopg2.connect(dsn)


def decode(path):
    with open(path, newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        next(rows)
        for logger, channel, timestamp, value in rows:
            yield logger, channel, datetime.fromisoformat(timestamp.replace("Z", "+00:00")), float(value)


def load(paths):
    rows = [row for path in paths for row in decode(path)]
    with connection, connection.cursor() as cursor:
        execute_values(cursor, "insert into peer (logger, channel, ts, value) values %s", rows, page_size=1000)
    return len(rows)


def main():
    directory, dsn, workers, chunk = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    paths = sorted(os.path.join(folder, name) for folder, _, names in os.walk(directory) for name in names)
    tasks = [paths[first : first + chunk] for first in range(0, len(paths), chunk)]
    with multiprocessing.Pool(workers, connect, (dsn,)) as pool:
        print(sum(pool.imap_unordered(load, tasks)))


if __name__ == "__main__":
    main()
