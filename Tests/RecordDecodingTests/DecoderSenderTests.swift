import Foundation
import LogModel
import RecordDecoding
import Testing

/// Bodies as real senders write them.
@Suite struct DecoderSenderTests {
    @Test func `the log aggregator's single curl is understood`() {
        let record = soleRecord(
            """
            {
                "message": "User login successful",
                "level": "INFO",
                "source": "auth-service",
                "metadata": {"user_id": "123", "ip": "10.0.1.50"}
              }
            """
        )
        #expect(record?.message == "User login successful")
        #expect(record?.severity == .info)
        #expect(record?.source == "auth-service")
        #expect(record?.attributes == ["user_id": "123", "ip": "10.0.1.50"])
    }

    @Test func `the log aggregator's batch curl is understood`() {
        let decoded = decode(
            """
            {
                "logs": [
                  {
                    "message": "Database query executed",
                    "level": "DEBUG",
                    "source": "db-service",
                    "metadata": {"query_time": "0.05s"}
                  },
                  {
                    "message": "Cache miss for key xyz",
                    "level": "WARN",
                    "source": "cache-service",
                    "metadata": {"key": "user:xyz"}
                  }
                ]
              }
            """
        )
        #expect(decoded.outcome == "2/0")
        #expect(decoded.records.map(\.severity) == [.debug, .warn])
        #expect(decoded.records.map(\.attributes) == [["query_time": "0.05s"], ["key": "user:xyz"]])
    }

    @Test func `the log ingestion service's single format is understood`() {
        let body = """
            {
              "timestamp": "2025-01-15T10:30:45Z",
              "org": "acme",
              "dashboard": "production",
              "service": "api-server",
              "host": "web-01",
              "level": "ERROR",
              "message": "Connection timeout after 30s",
              "metadata": {"request_id": "req_123"}
            }
            """
        let decoded = decode(body, requiresTenant: true)
        #expect(decoded.outcome == "1/0")
        let record = decoded.records.first
        #expect(record?.timestamp == "2025-01-15T10:30:45.000000Z")
        #expect(record?.tenant == "acme")
        #expect(record?.dashboard == "production")
        #expect(record?.source == "api-server")
        #expect(record?.host == "web-01")
        #expect(record?.severity == .error)
        #expect(record?.attributes == ["request_id": "req_123"])
    }

    @Test func `the log ingestion service's curls are understood with the form's content type too`() {
        let single = """
            {
                "org": "acme",
                "service": "api",
                "level": "ERROR",
                "message": "Connection timeout after 30s"
              }
            """
        let batch = """
            {
                "logs": [
                  {"org": "acme", "message": "ERROR: test1", "level": "ERROR"},
                  {"org": "acme", "message": "WARN: test2", "level": "WARN"},
                  {"org": "acme", "message": "INFO: test3", "level": "INFO"}
                ]
              }
            """
        for type in ["application/json", "application/x-www-form-urlencoded"] {
            #expect(decode(single, type: type, requiresTenant: true).outcome == "1/0")
            #expect(decode(batch, type: type, requiresTenant: true).outcome == "3/0")
        }
    }

    @Test func `the log ingestion service's generator of 2000 records is understood`() {
        let logs = (0..<2000).map { "{\"org\": \"acme\", \"message\": \"ERROR: message \($0)\"}" }
        let decoded = decode("{\"logs\": [" + logs.joined(separator: ", ") + "]}", requiresTenant: true)
        #expect(decoded.outcome == "2000/0")
        #expect(decoded.records.last?.message == "ERROR: message 1999")
    }

    @Test func `a journal entry in JSON is understood`() {
        let record = soleRecord(
            #"{"__REALTIME_TIMESTAMP":"1736937045123456","PRIORITY":"3","_HOSTNAME":"pi5","SYSLOG_IDENTIFIER":"sshd","MESSAGE":"Connection closed","_PID":"812"}"#
        )
        #expect(record?.message == "Connection closed")
        #expect(record?.severity == .error)
        #expect(record?.source == "sshd")
        #expect(record?.host == "pi5")
        #expect(record?.timestamp == "2025-01-15T10:30:45.123456Z")
        #expect(record?.attributes == ["_PID": "812"])
    }

    // MARK: Node-RED

    @Test func `a Catch node's message becomes an error of the node's type`() {
        let record = soleRecord(
            #"{"_msgid":"a1b2","topic":"t","payload":{"v":1},"error":{"message":"TypeError: x","source":{"id":"n1","type":"function","name":"parse","count":1},"stack":"TypeError: x\n    at y"}}"#
        )
        #expect(record?.message == "TypeError: x")
        #expect(record?.severity == .error)
        #expect(record?.source == "function")
        #expect(
            record?.attributes == [
                "_msgid": "a1b2", "topic": "t", "payload.v": "1", "error.source.id": "n1",
                "error.source.type": "function",
                "error.source.name": "parse", "error.source.count": "1", "error.stack": "TypeError: x\n    at y",
            ]
        )
    }

    @Test(arguments: [
        #"{"_msgid":"1","error":{"message":"boom"}}"#, #"{"error":{"message":"boom","source":{"id":"n"}}}"#,
        #"{"error":{"message":"boom"},"_msgid":"1"}"#, #"{"_msgid":"1","error":"boom"}"#,
    ])
    func `a Catch node's message without a type is Node-RED's`(_ body: String) {
        let record = soleRecord(body)
        #expect(record?.message == "boom")
        #expect(record?.source == "node-red")
        #expect(record?.severity == .error)
    }

    @Test func `an application's error object keeps the application's own words`() {
        let record = soleRecord(#"{"error":{"message":"boom","code":7},"level":"warn","service":"api"}"#)
        #expect(record?.message == "boom")
        #expect(record?.severity == .warn)
        #expect(record?.source == "api")
        #expect(record?.attributes == ["error.code": "7"])
        #expect(soleRecord(#"{"error":{"message":"boom"}}"#)?.source == "")
    }

    @Test func `an error beside a message is an attribute`() {
        let record = soleRecord(#"{"message":"m","error":{"message":"boom"},"payload":"p"}"#)
        #expect(record?.message == "m")
        #expect(record?.severity == nil)
        #expect(record?.attributes == ["error.message": "boom", "payload": "p"])
    }

    @Test(arguments: [
        (#"{"_msgid":"1","payload":"pump failed"}"#, "pump failed"), (#"{"payload":{"v": 1}}"#, "{\"v\": 1}"),
        (#"{"payload":{"message":"inner","level":"warn","service":"s"}}"#, "inner"), (#"{"payload":23.5}"#, "23.5"),
        (#"{"error":null,"payload":"p"}"#, "p"), (#"{"error":{},"payload":"p"}"#, "p"),
        (#"{"error":{"message":""},"payload":"p"}"#, "p"), (#"{"message":"","payload":"p"}"#, "p"),
    ])
    func `a payload is the message when nothing better is there`(_ body: String, _ message: String) {
        #expect(soleRecord(body)?.message == message)
    }

    @Test func `a payload that is a record is that record`() {
        let record = soleRecord(
            #"{"topic":"t","payload":{"message":"inner","level":"warn","service":"s","k":{"a":1},"payload":2}}"#
        )
        #expect(record?.severity == .warn)
        #expect(record?.source == "s")
        #expect(record?.attributes == ["topic": "t", "k.a": "1", "payload": "2"])
    }

    @Test(arguments: [#"{"payload":null}"#, #"{"payload":""}"#, #"{"error":[]}"#, #"{"payload":{"message":""}}"#])
    func `a payload that says nothing is no message`(_ body: String) {
        #expect(decode(body).outcome == "0/1")
    }

    @Test func `a logging handler's record keeps its level and node`() {
        let record = soleRecord(
            #"{"level":20,"msg":"Cannot connect","type":"mqtt-broker","id":"9","name":"home","timestamp":1736937045000}"#
        )
        #expect(record?.message == "Cannot connect")
        #expect(record?.severity == .error)
        #expect(record?.timestamp == "2025-01-15T10:30:45.000000Z")
        #expect(record?.attributes == ["type": "mqtt-broker", "id": "9", "name": "home"])
    }
}
