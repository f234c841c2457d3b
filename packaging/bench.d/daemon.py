"""What packaging/bench hands to those that start a logboomd on its PostgreSQL, and a way to ask that."""

import subprocess


def add_options(parser):
    """The daemon to start, the folder and port it may have, and the private cluster; each required."""
    parser.add_argument("--daemon", required=True)
    parser.add_argument("--folder", required=True, help="on a disk, not in memory")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--postgres-socket", required=True)
    parser.add_argument("--psql", required=True)


def sql(options, statement, database="logboom"):
    """One statement as the cluster's owner; unaligned text."""
    command = [options.psql, "-X", "-q", "-h", options.postgres_socket, "-U", "postgres", "-d", database,
               "-v", "ON_ERROR_STOP=1", "-At", "-c", statement]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


def fresh_database(options):
    """An empty database for the daemon, and the settings by which it finds it."""
    sql(options, "DROP DATABASE IF EXISTS logboom WITH (FORCE)", database="postgres")
    sql(options, "CREATE DATABASE logboom OWNER logboom", database="postgres")
    return {"POSTGRES_HOST": options.postgres_socket, "POSTGRES_DB": "logboom", "POSTGRES_USER": "logboom"}
