"""The HTTP front of the embedded engine, in parts: users, requests, codecs, handles, execution, routes.

Started by `serving.http.serve`. It speaks the part of ClickHouse's HTTP protocol that its clients use.
"""
