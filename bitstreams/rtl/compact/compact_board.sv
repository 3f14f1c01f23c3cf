// The compact engine with 64 KiB of single-port memory, behind a serial line. Frames are those of ../board.sv:
//   'w' register byte, 4 bytes            sets a register (its number is offset / 4)
//   'r' register byte                     -> 4 bytes
//   'W' address 4 bytes, count 2 bytes, count words of 4 bytes      writes memory
//   'R' address 4 bytes, count 2 bytes -> count words of 4 bytes    reads memory
// Memory can be accessed while no list runs; meanwhile the engine has it.
module compact_board #(
  parameter int DIV = 4
) (
  input  logic clk,
  input  logic rx,
  output logic tx,
  output logic busy
);
  localparam int ML = 14, AL = ML + 2;
  logic [7:0] count = 0;
  wire rst = !count[7];
  always_ff @(posedge clk) if (!count[7]) count <= count + 1;

  logic in_valid, out_valid, out_ready;
  logic [7:0] in;
  logic [31:0] shift;
  uart #(.DIV(DIV)) u_uart (.clk, .rst, .rx, .tx, .in_valid, .in, .out_valid, .out_ready, .out(shift[7:0]));

  logic reg_valid, rd_valid, rsp_valid, wr_valid;
  logic [31:0] reg_rdata, wr_data, memory_rd;
  /* verilator lint_off UNUSEDSIGNAL */
  logic [31:0] address;
  logic [AL-1:0] rd_addr, wr_addr;
  /* verilator lint_on UNUSEDSIGNAL */
  logic [7:0] order;
  compact #(.AL(AL)) u_engine (
    .clk, .rst, .reg_valid, .reg_write(order == "w"), .reg_addr(address[7:0]), .reg_wdata(shift), .reg_rdata, .rd_valid,
    .rd_ready(1'b1), .rd_addr, .rsp_valid, .rsp_data(memory_rd), .wr_valid, .wr_ready(1'b1), .wr_addr, .wr_data, .busy);

  // ---- memory: the engine's while it is busy, which reads or writes, else the line's
  typedef enum logic [2:0] {ORDER, ADDRESS, COUNT, TAKE, PUT, FETCH, GOT, SEND} state_t;
  state_t state;
  single #(.W(32), .DL(ML)) u_memory (
    .clk, .we(busy ? wr_valid : state == PUT && order == "W"),
    .at(busy ? (wr_valid ? wr_addr[2+:ML] : rd_addr[2+:ML]) : address[2+:ML]), .wd(busy ? wr_data : shift), .rd(memory_rd));
  always_ff @(posedge clk) rsp_valid <= rd_valid & ~rst;

  // ---- orders
  logic [15:0] words_left;
  logic [2:0] bytes_left;
  wire memory_order = order == "W" || order == "R";
  wire byte_end = bytes_left == 1;
  assign reg_valid = state == PUT && !memory_order;
  assign out_valid = state == SEND;
  always_ff @(posedge clk) begin
    case (state)
      ORDER: if (in_valid) begin
        order <= in;
        bytes_left <= in == "w" || in == "r" ? 1 : 4;
        if (in == "w" || in == "r" || in == "W" || in == "R") state <= ADDRESS;
      end
      ADDRESS: if (in_valid) begin
        address <= memory_order ? {in, address[31:8]} : 32'(in);
        bytes_left <= bytes_left - 1;
        if (byte_end) begin
          bytes_left <= memory_order ? 2 : 4;
          words_left <= 1;
          state <= memory_order ? COUNT : order == "w" ? TAKE : PUT;
        end
      end
      COUNT: if (in_valid) begin
        words_left <= {in, words_left[15:8]};
        bytes_left <= bytes_left - 1;
        if (byte_end) begin
          bytes_left <= 4;
          state <= {in, words_left[15:8]} == 0 ? ORDER : order == "W" ? TAKE : FETCH;
        end
      end
      TAKE: if (in_valid) begin
        shift <= {in, shift[31:8]};
        bytes_left <= bytes_left - 1;
        if (byte_end) state <= PUT;
      end
      PUT: begin
        bytes_left <= 4;
        address <= address + 4;
        words_left <= words_left - 1;
        state <= order == "r" ? GOT : words_left == 1 ? ORDER : TAKE;
      end
      FETCH: state <= GOT;
      GOT: begin
        shift <= order == "r" ? reg_rdata : memory_rd;
        words_left <= order == "r" ? 1 : words_left;
        address <= address + 4;
        bytes_left <= 4;
        state <= SEND;
      end
      default: if (out_ready) begin
        shift <= shift >> 8;
        bytes_left <= bytes_left - 1;
        if (byte_end) begin
          words_left <= words_left - 1;
          state <= words_left == 1 ? ORDER : FETCH;
        end
      end
    endcase
    if (rst) state <= ORDER;
  end
endmodule
