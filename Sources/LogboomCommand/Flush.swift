import ArgumentParser
import JSONBytes

/// `logboom flush`: seals the open batch and waits until it is durable.
struct Flush: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Deliver what is held in memory now, and wait until it is safe.",
        discussion: "Exit status: 0 when it is in the database or the spool, 1 when it is not, 69 no daemon there."
    )

    /// The daemon gives PostgreSQL a quarter of a second and then takes the spool; the rest is a slow SD card.
    static let timeout = Duration.seconds(30)

    @Flag(help: "Print the daemon's JSON.")
    var json = false
    @OptionGroup var daemon: DaemonOptions

    func run() throws {
        try reporting {
            let client = try daemon.connect()
            let answer = try client.post("/flush", timeout: Self.timeout)
            // Not durable is answered with 503 and the same members; anything without them is another refusal.
            guard answer.json["durable"]?.bool != nil else {
                throw client.refusal("/flush", status: answer.status, json: answer.json)
            }
            let (sentence, isDurable) = Self.summary(answer.json)
            if json { Output.standard.writeJSON(answer.bytes) } else { Output.standard.write(sentence + "\n") }
            if !isDurable { throw CommandFailure(status: .failed, message: "") }
        }
    }

    /// What the answer means.
    static func summary(_ answer: JSONValue) -> (sentence: String, isDurable: Bool) {
        let isDurable = answer["durable"]?.bool ?? false
        let count = answer["flushed"]?.integer ?? 0
        guard isDurable else { return ("The records are still in memory only.", false) }
        guard count > 0 else { return ("Nothing was waiting.", true) }
        let records = count == 1 ? "1 record is" : "\(StatusReport.grouped(count)) records are"
        switch answer["where"]?.string {
        case "embedded": return ("\(records) in the embedded store.", true)
        case "postgres": return ("\(records) in PostgreSQL.", true)
        case "spool": return ("\(records) safe in the spool, and go on when PostgreSQL is back.", true)
        case .some, .none: return ("\(records) safe.", true)
        }
    }
}
