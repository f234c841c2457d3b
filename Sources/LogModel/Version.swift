/// The version of the whole package: daemon, command line, `User-Agent`, `/health`.
public let logboomVersion = "0.1.0"
