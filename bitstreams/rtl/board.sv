// The engine with memory on the chip, behind a serial line. Frames, numbers little-endian:
//   'w' register byte, 4 bytes            sets a register (its number is offset / 4)
//   'r' register byte                     -> 4 bytes
//   'W' address 4 bytes, count 2 bytes, count words of N bytes      writes memory
//   'R' address 4 bytes, count 2 bytes -> count words of N bytes    reads memory
// Memory can be accessed while no list runs; meanwhile the engine has it.
module board #(
  parameter int N = 16, NRQ = 8, BYL = 1, BXL = 2, DL = 10, WDL = 9, SUMSL = 8, FDL = 9, DSP = 7, PAIRS = 0,
  parameter bit ADD = 1,
  parameter int ML = 12,  // log2 of the words of memory
  parameter int DIV = 32
) (
  input  logic clk,
  input  logic rx,
  output logic tx,
  output logic busy
);
  localparam int NL = $clog2(N), AL = ML + NL;
  logic [7:0] count = 0;
  wire rst = !count[7];
  always_ff @(posedge clk) if (!count[7]) count <= count + 1;

  logic in_valid, out_valid, out_ready;
  logic [7:0] in, out;
  uart #(.DIV(DIV)) u_uart (.clk, .rst, .rx, .tx, .in_valid, .in, .out_valid, .out_ready, .out);

  logic reg_valid, reg_write, rd_valid, rsp_valid, wr_valid;
  logic [7:0] reg_addr;
  logic [31:0] reg_wdata, reg_rdata;
  /* verilator lint_off UNUSEDSIGNAL */
  logic [AL-1:0] rd_addr, wr_addr;
  /* verilator lint_on UNUSEDSIGNAL */
  logic [N*8-1:0] rsp_data, wr_data;
  engine #(.N(N), .NRQ(NRQ), .BYL(BYL), .BXL(BXL), .DL(DL), .WDL(WDL), .SUMSL(SUMSL), .FDL(FDL), .DSP(DSP), .PAIRS(PAIRS),
    .ADD(ADD), .AL(AL)) u_engine (
    .clk, .rst, .reg_valid, .reg_write, .reg_addr, .reg_wdata, .reg_rdata, .rd_valid, .rd_ready(1'b1), .rd_addr,
    .rsp_valid, .rsp_data, .wr_valid, .wr_ready(1'b1), .wr_addr, .wr_data, .busy);

  // ---- memory: the engine's while it is busy, else the line's
  typedef enum logic [3:0] {ORDER, ADDRESS, COUNT, TAKE, PUT, FETCH, WAIT_1, WAIT_2, WAIT_3, SEND} state_t;
  state_t state;
  logic [7:0] order;
  logic [31:0] address;
  logic [15:0] words_left;
  logic [4:0] bytes_left;
  logic [N*8-1:0] shift;
  logic memory_we;
  logic [ML-1:0] memory_wa, memory_ra;
  logic [N*8-1:0] memory_wd, memory_rd;
  logic [2:0] reading;
  always_ff @(posedge clk) begin
    memory_we <= busy | wr_valid ? wr_valid : state == PUT && order == "W";
    memory_wa <= busy | wr_valid ? wr_addr[NL+:ML] : address[NL+:ML];
    memory_wd <= busy | wr_valid ? wr_data : shift;
    memory_ra <= busy ? rd_addr[NL+:ML] : address[NL+:ML];
    reading <= {reading[1:0], rd_valid & ~rst};
  end
  ram #(.W(N * 8), .DL(ML)) u_memory (.clk, .we(memory_we), .wa(memory_wa), .wd(memory_wd), .ra(memory_ra), .rd(memory_rd));
  assign rsp_valid = reading[2];
  assign rsp_data = memory_rd;

  // ---- orders
  assign reg_valid = state == PUT && (order == "w" || order == "r");
  assign reg_write = order == "w";
  assign reg_addr = address[7:0];
  assign reg_wdata = shift[31:0];
  assign out = shift[7:0];
  assign out_valid = state == SEND;
  wire memory_order = order == "W" || order == "R";
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
        if (bytes_left == 1) begin
          bytes_left <= memory_order ? 2 : 4;
          words_left <= 1;
          state <= memory_order ? COUNT : order == "w" ? TAKE : PUT;
        end
      end
      COUNT: if (in_valid) begin
        words_left <= {in, words_left[15:8]};
        bytes_left <= bytes_left - 1;
        if (bytes_left == 1) begin
          bytes_left <= 5'(N);
          state <= {in, words_left[15:8]} == 0 ? ORDER : order == "W" ? TAKE : FETCH;
        end
      end
      TAKE: if (in_valid) begin
        shift <= memory_order ? {in, shift[N*8-1:8]} : (N * 8)'({in, shift[31:8]});
        bytes_left <= bytes_left - 1;
        if (bytes_left == 1) state <= PUT;
      end
      PUT: begin
        bytes_left <= order == "r" ? 4 : 5'(N);
        address <= address + N;
        words_left <= words_left - 1;
        state <= order == "r" ? WAIT_3 : words_left == 1 ? ORDER : TAKE;
      end
      FETCH: state <= WAIT_1;  // the address is registered, and the memory takes two clocks
      WAIT_1: state <= WAIT_2;
      WAIT_2: state <= WAIT_3;
      WAIT_3: begin
        shift <= order == "r" ? (N * 8)'(reg_rdata) : memory_rd;
        words_left <= order == "r" ? 1 : words_left;
        address <= address + N;
        bytes_left <= order == "r" ? 4 : 5'(N);
        state <= SEND;
      end
      default: if (out_ready) begin
        shift <= shift >> 8;
        bytes_left <= bytes_left - 1;
        if (bytes_left == 1) begin
          words_left <= words_left - 1;
          state <= words_left == 1 ? ORDER : FETCH;
        end
      end
    endcase
    if (rst) state <= ORDER;
  end
endmodule
