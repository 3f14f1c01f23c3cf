// One output lane: N products a clock, a tree that adds them, the sum of a pixel. Its weights are its own memory.
// Data come in at clock 0; the sum has taken in the step at clock LAT.
module lane #(
  parameter int N = 16, T = 8, WDL = 9,
  parameter int DSP = 16,   // so many of the products are left to the device's multipliers; the next ones are of logic
  parameter int PAIRS = 0,  // the last ones are made with another lane's
  localparam int L = $clog2(N),
  localparam int LAT = 1 + 2 + L + 1
) (
  input  logic clk,
  // weights: an address two clocks before the data
  input  logic we,
  input  logic [WDL-1:0] wa,
  input  logic [N*8-1:0] wd,
  input  logic [WDL-1:0] ra,
  output logic [N*8-1:0] w0,
  // data
  input  logic depthwise,
  /* verilator lint_off UNUSEDSIGNAL */
  input  logic [N*8-1:0] common,   // the same for all lanes
  input  logic [N*16-1:0] paired,  // clock 3: the products that are made with another lane's
  /* verilator lint_on UNUSEDSIGNAL */
  input  logic [T*8-1:0] own,      // this lane's channel of the taps
  // clock LAT - 1
  input  logic valid, first, max, add,
  output logic [31:0] sum
);
  logic [(N-PAIRS)*8-1:0] w1, x1;
  logic [7:0] byte1;
  ram #(.W(N * 8), .DL(WDL)) u_weights (.clk, .we, .wa, .wd, .ra, .rd(w0));
  always_ff @(posedge clk) begin
    w1 <= w0[(N-PAIRS)*8-1:0];
    x1 <= common[(N-PAIRS)*8-1:0];
    if (depthwise) x1[T*8-1:0] <= own;
    byte1 <= own[7:0];
  end
  // 2, 3: products; then a level of the tree a clock
  for (genvar t = 0; t <= L; t++) begin : g_tree
    logic signed [15+t:0] s[0:(N>>t)-1];
    for (genvar i = 0; i < (N >> t); i++) begin : g_node
      if (t == 0 && i >= N - PAIRS) begin : g_paired
        assign s[i] = paired[i*16+:16];
      end else if (t == 0 && i < DSP) begin : g_dsp
        multiplier u_product (.clk, .a(x1[i*8+:8]), .b(w1[i*8+:8]), .p(s[i]));
      end else if (t == 0) begin : g_lut
        product u_product (.clk, .x(x1[i*8+:8]), .w(w1[i*8+:8]), .p(s[i]));
      end else begin : g_add
        always_ff @(posedge clk)
          s[i] <= (16 + t)'(g_tree[t-1].s[2*i]) + (16 + t)'(g_tree[t-1].s[2*i+1]);
      end
    end
  end
  logic [7:0] own_byte;
  delay #(.W(8), .LAT(LAT - 2)) u_byte (.clk, .d(byte1), .q(own_byte));
  wire [31:0] extended = {{24{own_byte[7]}}, own_byte};
  wire greater = $signed(own_byte) > $signed(sum[7:0]);
  wire [31:0] products = 32'(g_tree[L].s[0]);
  always_ff @(posedge clk)
    if (valid)
      // Of an addition the first operand below, the second above.
      if (max) sum <= first | greater ? extended : sum;
      else if (add) sum <= first ? {24'd0, own_byte} : {16'd0, own_byte, sum[7:0]};
      else sum <= (first ? 32'd0 : sum) + products;
endmodule
